"""`/v1/node-types`, `/v1/models`, the document and its page."""

import re


def test_node_types_are_listed_and_described(server):
    names = {item["name"] for item in server.get("/v1/node-types").json["node_types"]}
    sampler = server.get("/v1/node-types/KSampler").json
    loader = server.get("/v1/node-types/CheckpointLoaderSimple").json

    assert {"KSampler", "SaveImage", "ToySteps"} <= names
    inputs = {item["name"]: item for item in sampler["inputs"]}
    assert (inputs["steps"]["type"], inputs["steps"]["minimum"]) == ("INT", 1)
    assert "euler" in inputs["sampler_name"]["choices"]
    assert "demo-shapes.safetensors" in loader["inputs"][0]["choices"]
    assert [item["type"] for item in loader["outputs"]] == ["MODEL", "CLIP", "VAE"]


def test_an_unknown_node_type_comes_with_what_was_meant(server):
    reply = server.get("/v1/node-types/KSamplr")

    assert (reply.status, reply.json["code"]) == (404, "unknown_name")
    assert "KSampler" in reply.json["hint"]


def test_models_are_listed_by_folder(server):
    folders = server.get("/v1/models").json["folders"]

    assert {"checkpoints", "loras", "vae"} <= set(folders)
    assert "demo-shapes.safetensors" in server.get("/v1/models/checkpoints").json["names"]
    assert server.get("/v1/models/nothing").status == 404


def test_every_operation_is_in_the_document_and_on_the_page(server):
    document = server.get("/openapi.json").json
    page = server.get("/v1/docs")

    assert document["openapi"].startswith("3.1")
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len(operations) >= 16
    assert page.headers["Content-Type"].startswith("text/html")
    text = page.data.decode()
    for operation in operations:
        assert f'id="{operation["operationId"]}"' in text
        assert operation["summary"]
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in text


def test_the_page_needs_nothing_from_elsewhere(server):
    page = server.get("/v1/docs")

    assert not re.findall(rb"<script|<link|<img|src=|https?://", page.data)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_every_reference_in_the_document_leads_somewhere(server):
    reply = server.get("/openapi.json")

    names = set(re.findall(r"#/components/schemas/(\w+)", reply.data.decode()))
    assert names == names & set(reply.json["components"]["schemas"])
