"""`POST /score`: what Azure Machine Learning calls, and what it is answered."""

import base64
import json
import uuid

import pytest

from nodegraph.workflow.read import read_workflow
from tests.server.api.v1.azure_endpoint import endpoint, invoke
from tests.server.api.v1.test_runs import FAILING
from tests.server.serving import (
    TOYS,
    ended,
    install_toys,
    picture,
    serving,
    toy,
    until,
)

TOKEN = "the-token-of-the-container"


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    """A server as in a container of Azure's: it has a token, but for `/score`."""
    home = tmp_path_factory.mktemp("container")
    install_toys(home)
    settings = {
        "NODEGRAPH_SERVER_TOKEN": TOKEN,
        "NODEGRAPH_SERVER_SCORE_OPEN": "true",
        "NODEGRAPH_SERVER_SCORE_DEADLINE": "0.5",
        "NODEGRAPH_SERVER_SCORE_WAITING": "2",
        "NODEGRAPH_SERVER_SCORE_PENDING_OK": "true",
        **TOYS,
    }
    with serving(home, environment=settings) as running:
        yield running


@pytest.fixture(scope="module")
def uri(container):
    """Where clients call it: the endpoint in front."""
    with endpoint(container.url) as found:
        yield found


def scored(server, body, **headers):
    """The reply once the run is over, however long a busy machine takes."""
    reply = server.post("/score", body, **headers)
    if reply.status == 202:
        ended(server, reply.json["id"])
        reply = server.post("/score", {"id": reply.json["id"]}, **headers)
    return reply


def pictures(reply):
    assert reply.status == 200, reply.data
    assert reply.json["status"] == "succeeded"
    return [base64.b64decode(item["data"]) for item in reply.json["outputs"]]


def node(data, title):
    graph = read_workflow(data)
    return next(node.inputs for node in graph.nodes.values() if node.title == title)


def test_a_graph_is_answered_with_its_picture(server):
    reply = scored(server, picture(prefix="scored"))

    (data,) = pictures(reply)
    (output,) = reply.json["outputs"]
    assert data == (server.output / output["filename"]).read_bytes()
    assert (output["node"], output["kind"], output["media_type"]) == ("7", "images", "image/png")
    assert reply.headers["Nodegraph-Run"] == reply.json["id"]


def test_who_accepts_pictures_alone_gets_the_first_one_itself(server):
    reply = scored(server, picture(prefix="shown"), Accept="image/webp, image/*")

    assert (reply.status, reply.headers["Content-Type"]) == (200, "image/png")
    assert reply.data.startswith(b"\x89PNG")


def test_who_accepts_json_too_gets_json(server):
    reply = scored(server, picture(), Accept="application/json, image/png")

    assert len(pictures(reply)) == 1


def test_a_named_workflow_runs_with_values(server):
    values = {"Prompt.text": "a red ring", "Sampler.steps": 2, "Canvas.batch_size": 2}
    reply = scored(server, {"workflow": "txt2img", "values": values, "seed": 11})

    first, second = pictures(reply)
    assert first != second
    assert node(first, "Prompt")["text"] == "a red ring"
    assert node(first, "Sampler")["seed"] == 11


def test_a_workflow_that_was_saved_in_the_editor_has_a_name_too(server):
    saved = json.dumps(toy(value=7)).encode()
    server.ask("POST", "/userdata/workflows%2Fmine.json", saved)

    reply = scored(server, {"workflow": "mine", "values": {"1.count": 2}})

    assert (reply.status, reply.json["outputs"]) == (200, [])
    workflow = server.get(f"{reply.headers['Location']}/workflow").json["workflow"]
    assert workflow["1"]["inputs"] == {"a": 7, "count": 2, "seconds": 0.01}


def test_a_workflow_as_the_editor_saves_it_is_a_body_too(server):
    links = [[1, 1, 0, 2, 0, "INT"]]
    nodes = [
        {
            "id": 1,
            "type": "ToyNumber",
            "inputs": [],
            "outputs": [{"name": "INT", "type": "INT", "links": [1]}],
            "widgets_values": [3],
        },
        {"id": 2, "type": "ToyShow", "inputs": [{"name": "a", "type": "INT", "link": 1}]},
    ]

    reply = scored(server, {"id": str(uuid.uuid4()), "nodes": nodes, "links": links})

    assert (reply.status, reply.json["status"]) == (200, "succeeded")


def test_what_is_not_over_is_asked_for_again(server):
    begun = server.post("/score", toy(steps=50), Prefer="wait=0")
    asked = server.post("/score", {"id": begun.json["id"]}, Prefer="wait=0")

    assert (begun.status, asked.status) == (202, 202)
    assert begun.headers["Retry-After"] == "1"
    assert asked.json["status"] in ("queued", "running")
    ended(server, begun.json["id"])
    assert server.post("/score", {"id": begun.json["id"]}).json["status"] == "succeeded"


def test_the_same_key_gives_the_same_run(server):
    body, key = {"workflow": toy(value=4)}, str(uuid.uuid4())
    first, second = (server.post("/score", body, Idempotency_Key=key) for _ in range(2))

    assert first.json["id"] == second.json["id"]
    other = server.post("/score", {"workflow": toy(value=5)}, Idempotency_Key=key)
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "status", "code", "told"),
    [
        (b"{", 400, "bad_json", "JSON"),
        ({}, 422, "bad_request", "missing"),
        ({"seed": 3}, 422, "bad_request", "missing"),
        ({"id": str(uuid.UUID(int=5)), "seed": 3}, 422, "bad_request", "no workflow"),
        ({"id": "x"}, 422, "bad_request", "UUID"),
        ({"id": str(uuid.UUID(int=5))}, 404, "unknown_run", "no run"),
        ({"workflow": "txt3img"}, 404, "unknown_workflow", "txt2img"),
        ({"workflow": "../secrets"}, 422, "unsafe_path", ".."),
        ({"workflow": "txt2img", "values": {"Prompt.txt": 1}}, 422, "bad_assignment", "text"),
        ({"workflow": "txt2img", "values": {"Promt.text": 1}}, 422, "bad_assignment", "Prompt"),
        ({"workflow": "txt2img", "values": {"Prompt": 1}}, 422, "bad_assignment", "NODE.INPUT"),
        (
            {"workflow": "txt2img", "values": {"Sampler.steps": -1}},
            422,
            "invalid_workflow",
            "steps",
        ),
        ({"1": {"class_type": "ToyShow"}}, 422, "invalid_workflow", "required"),
        ({"1": {"class_type": "ToyShow"}, "colour": 1}, 422, "invalid_workflow", "colour"),
        ({"workflow": "txt2img", "colour": 1}, 422, "bad_request", "colour"),
        (FAILING, 422, "run_failed", "no 5"),
    ],
)
def test_what_is_wrong_is_told(server, body, status, code, told):
    reply = scored(server, body)

    assert (reply.status, reply.json["code"]) == (status, code)
    assert told in reply.data.decode()


def test_a_picture_is_no_request(server):
    reply = server.post("/score", b"\x89PNG", Content_Type="image/png")

    assert (reply.status, reply.json["hint"]) == (415, "Send application/json.")


def test_the_endpoint_answers_with_what_the_run_made(uri):
    body = {"1": {"class_type": "ToyFile", "inputs": {"a": 5}}}

    reply = invoke(uri, body)

    assert pictures(reply) == [b"5\n"]
    assert reply.json["outputs"][0]["media_type"] == "text/plain"


def test_a_run_that_outlasts_the_deadline_is_polled_through_the_same_uri(container, uri):
    begun = invoke(uri, toy(steps=150))
    asked = invoke(uri, {"id": begun.json["id"]})

    assert (begun.status, begun.json["status"], begun.json["outputs"]) == (200, "running", [])
    assert (asked.status, asked.json["status"]) == (200, "running")

    def over():
        reply = invoke(uri, {"id": begun.json["id"]})
        return reply if reply.json["status"] != "running" else None

    assert until(over).json["status"] == "succeeded"


def test_what_fails_reaches_the_client_as_424_with_our_status(uri):
    reply = invoke(uri, FAILING)

    assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "422")
    assert reply.json["code"] == "run_failed"
    assert reply.json["problems"][0]["node_id"] == "1"


def test_a_full_queue_is_429_and_takes_nothing(container, uri):
    known = container.of(TOKEN)
    runs = []
    try:
        runs = [known.submit(toy(steps=3000)) for _ in range(3)]
        until(lambda: len(known.get("/v1/runs?status=queued").json["runs"]) == 2)

        reply = container.post("/score", toy())

        assert (reply.status, reply.json["code"]) == (429, "queue_full")
        assert int(reply.headers["Retry-After"]) > 0
        assert invoke(uri, toy()).headers["ms-azureml-model-error-statuscode"] == "429"
        assert len(known.get("/v1/runs?status=queued,running").json["runs"]) == 3
        assert invoke(uri, {"id": runs[0]}).json["status"] == "running"
    finally:
        for run in runs:
            known.post(f"/v1/runs/{run}/cancel")


def test_only_score_is_open(container):
    wrong = {"Authorization": "Bearer the-key-of-the-endpoint"}

    assert container.post("/score", toy(), **wrong).status == 200
    assert container.post("/v1/generate", toy(), **wrong).status == 401
    assert container.post("/v1/runs", {"workflow": toy()}).status == 401
    assert container.post("/score/", toy()).status == 401
