"""What clients ask about model folders, files and the machine."""

import json
import shutil
import struct
from io import BytesIO

import pytest
from PIL import Image

from nodegraph.files.folders import MODEL_FOLDERS


def safetensors(metadata):
    """A file without tensors."""
    header = json.dumps({"__metadata__": metadata}).encode()
    return struct.pack("<Q", len(header)) + header


@pytest.fixture(autouse=True, scope="module")
def _models(server):
    """Two embeddings and a LoRA with a picture."""
    models = server.home / "models"
    for folder in ("embeddings/sub", "loras"):
        (models / folder).mkdir(parents=True, exist_ok=True)
    (models / "embeddings" / "one.safetensors").write_bytes(safetensors({}))
    (models / "embeddings" / "sub" / "two.pt").write_bytes(b"")
    (models / "loras" / "style.v1.safetensors").write_bytes(safetensors({"author": "é"}))
    (models / "loras" / "broken.safetensors").write_bytes(b"nothing of the kind")
    (models / "loras" / "broken.png").write_bytes(b"nothing of the kind")
    Image.new("RGB", (2000, 1000), "red").save(models / "loras" / "style.v1.preview.png")
    yield
    for folder in ("embeddings", "loras"):
        shutil.rmtree(models / folder)


def test_embeddings_are_called_as_prompts_call_them(server):
    assert {"one", "sub/two"} <= set(server.get("/embeddings").json)


def test_model_folders_and_their_files(server):
    folders = server.get("/models").json

    assert set(folders) >= set(MODEL_FOLDERS)
    assert {"broken.safetensors", "style.v1.safetensors"} <= set(server.get("/models/loras").json)
    assert server.get("/api/models/clip").json == server.get("/models/text_encoders").json
    for name in ("nope", "..", "%2e%2e", "..%2finput"):
        assert server.get(f"/models/{name}").status == 404


def test_the_editor_s_model_library(server):
    places = {item["name"]: item["folders"] for item in server.get("/experiment/models").json}
    listed = server.get("/api/experiment/models/loras").json
    broken, style = (
        next(item for item in listed if item["name"] == f"{name}.safetensors")
        for name in ("broken", "style.v1")
    )

    assert "configs" not in places
    assert str(server.home / "models" / "loras") == places["loras"][0]
    assert style.keys() == {"name", "pathIndex", "modified", "created", "size"}
    assert (style["name"], style["pathIndex"]) == ("style.v1.safetensors", 0)
    assert style["size"] == len(safetensors({"author": "é"}))
    assert broken["modified"] > 1_700_000_000
    assert server.get("/experiment/models/nope").status == 404


def test_a_picture_beside_a_model_is_its_preview(server):
    start = "/experiment/models/preview/loras"
    reply = server.get(f"{start}/0/style.v1.safetensors")

    assert reply.headers["Content-Type"] == "image/webp"
    with Image.open(BytesIO(reply.data)) as image:
        assert image.format == "WEBP"
        assert max(image.size) <= 2000
    others = ("0/none.safetensors", "0/broken.safetensors", "9/style.v1.safetensors")
    for path in (*others, "x/style.v1.safetensors", "0/..%2f..%2finput%2fx.png"):
        assert server.get(f"{start}/{path}").status == 404


def test_a_model_s_metadata(server):
    start = "/view_metadata/loras?filename"
    assert server.get(f"{start}=style.v1.safetensors").json == {"author": "é"}
    for name in ("broken.safetensors", "none.safetensors", "../x.safetensors", "broken.png", ""):
        assert server.get(f"{start}={name}").status == 404
    assert server.get("/view_metadata/loras").status == 404


def test_a_header_that_nests_without_end_has_no_metadata(server):
    header = b"[" * 200_000
    data = struct.pack("<Q", len(header)) + header
    (server.home / "models" / "loras" / "deep.safetensors").write_bytes(data)

    assert server.get("/view_metadata/loras?filename=deep.safetensors").status == 404


def test_system_stats_have_what_strict_clients_want(server):
    stats = server.get("/system_stats").json

    assert stats["system"].keys() >= {
        *("os", "ram_total", "ram_free", "comfyui_version", "python_version"),
        *("pytorch_version", "embedded_python", "argv"),
    }
    (device,) = stats["devices"]
    assert device.keys() == {
        *("name", "type", "index", "vram_total", "vram_free"),
        *("torch_vram_total", "torch_vram_free"),
    }
    assert 0 < stats["system"]["ram_free"] < stats["system"]["ram_total"]
    assert all(isinstance(part, str) for part in stats["system"]["argv"])


def test_internal_routes_have_no_twin(server):
    (server.home / "input" / "a file.txt").write_text("x")

    assert "a file.txt" in server.get("/internal/files/input").json
    assert server.get("/internal/files/etc").status == 400
    assert server.get("/internal/folder_paths").json["loras"]
    assert server.get("/api/internal/folder_paths").status == 404
    assert server.get("/node_replacements").json == {}
