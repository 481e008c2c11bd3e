"""`nodegraph explain`: the files that a workflow reads, as their headers have them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nodegraph.cli.explanation.files import named_files
from nodegraph.graph.graph import Node
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.runtime.driver import expected_device
from tests.nodegraph.cli.test_commands import IMPORTED
from tests.toys import files_in

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "nodes/assets/demo-shapes.safetensors"
LOADERS = {
    "ckpt": ("CheckpointLoaderSimple", {"ckpt_name": "demo-shapes.safetensors"}),
    "again": ("CheckpointLoaderSimple", {"ckpt_name": "demo-shapes.safetensors"}),
    "clip": (
        "CLIPLoader",
        {"clip_name": "torn.safetensors", "type": "stable_diffusion", "device": "cpu"},
    ),
    "image": ("LoadImage", {"image": "cat.png"}),
    "prompt": ("CLIPTextEncode", {"clip": ["clip", 0], "text": "a cat"}),
    "latent": ("VAEEncode", {"pixels": ["image", 0], "vae": ["again", 2]}),
    "decode": ("VAEDecode", {"samples": ["latent", 0], "vae": ["ckpt", 2]}),
    "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "x"}),
    "show": ("PreviewAny", {"source": ["prompt", 0]}),
}


@pytest.fixture
def files(here, invoke, workflow, monkeypatch):
    """The files that the loaders above name, by name."""
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")
    (here / "models/text_encoders").mkdir()
    (here / "models/text_encoders/torn.safetensors").write_bytes(DEMO.read_bytes()[:5000])
    (here / "input/cat.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = invoke("explain", workflow(**LOADERS), "--json")
    return {file["name"]: file for file in json.loads(done.stdout)["files"]}


def test_of_a_model_its_bytes_family_and_dtype_are_told(files):
    found = files["demo-shapes.safetensors"]

    assert found["nodes"] == ["again", "ckpt"]
    assert found["bytes"] == DEMO.stat().st_size
    assert found["family"] == "Stable Diffusion 1.x"
    assert found["dtypes"][0] == "F16"
    assert found["parameters"] > 1_000_000
    assert found["device"] == expected_device()
    assert found["note"] is None


def test_of_a_broken_file_it_is_told_why_nothing_is_known(files):
    found = files["torn.safetensors"]

    assert found["bytes"] == 5000
    assert found["device"] == "cpu"
    assert found["family"] is None
    assert "torn.safetensors" in found["note"]


def test_a_model_computes_where_its_node_says(tmp_path):
    spec = NodeSpec(
        name="Load",
        display_name="Load",
        category="test",
        description="",
        module="",
        inputs=(
            InputSpec(name="model", socket="COMBO", model_folder="loras"),
            InputSpec(name="device", socket="COMBO", choices=("default", "cpu")),
        ),
        outputs=(),
    )
    (tmp_path / "models/loras").mkdir(parents=True)
    (tmp_path / "models/loras/a.safetensors").write_bytes(DEMO.read_bytes()[:5000])
    inputs = {"model": "a.safetensors"}
    nodes = [
        Node("a", "Load", inputs),
        Node("b", "Load", inputs | {"device": "cpu"}),
        Node("c", "Load", inputs | {"device": "default"}),
    ]
    found = named_files(nodes, {"Load": spec}, files_in(tmp_path), "cuda")

    assert [(file.nodes, file.device) for file in found] == [(("a", "c"), "cuda"), (("b",), "cpu")]


def test_other_files_are_listed_too(files):
    assert files["cat.png"]["folder"] == "input"
    assert files["cat.png"]["model"] is False
    assert files["cat.png"]["device"] is None


def test_a_model_on_a_hub_that_is_not_here_is_listed_and_not_fetched(invoke, workflow, monkeypatch):
    monkeypatch.setenv("NODEGRAPH_PACKS", "nodes")
    monkeypatch.setenv("NODEGRAPH_HUB_ENDPOINT", "http://127.0.0.1:9")
    name = "hf://owner/name@main/model.safetensors"
    path = workflow(
        a=("CheckpointLoaderSimple", {"ckpt_name": name}),
        b=("CLIPTextEncode", {"clip": ["a", 1], "text": "a cat"}),
        c=("PreviewAny", {"source": ["b", 0]}),
    )
    (found,) = json.loads(invoke("explain", path, "--json").stdout)["files"]

    assert (found["name"], found["path"], found["bytes"]) == (name, None, None)
    assert found["note"]


def test_a_shipped_workflow_is_explained_without_torch(toys):
    args = ["explain", str(ROOT / "workflows/hires_fix.json")]
    command = [sys.executable, "-c", IMPORTED, *args]
    environment = {"PYTHONPATH": ":".join(sys.path), "NODEGRAPH_PACKS": "nodes"}
    environment["NODEGRAPH_CACHE_DIR"] = str(toys / "cache")
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    code, *modules = child.stderr.splitlines()[-1].split()

    assert code == "0"
    assert {"torch", "diffusers", "transformers", "numpy"}.isdisjoint(modules)
    assert "Critical path (7 nodes, 40 steps; length 47)" in child.stdout
    assert "Stable Diffusion 1.x, F16" in child.stdout


def test_the_device_is_the_one_that_torch_would_choose():
    from nodegraph.runtime.devices import default_device

    assert expected_device() == default_device().type


@pytest.mark.parametrize(
    ("build", "shown", "drivers", "device"),
    [
        ("2.13.0+cpu", None, ["nvidia0"], "cpu"),
        ("2.13.0", None, ["nvidia0", "nvidiactl"], "cuda"),
        ("2.13.0", "", ["nvidia0"], "cpu"),
        ("2.13.0+cu130", None, ["nvidiactl"], "cpu"),
        ("2.13.0+rocm7.0", None, ["kfd", "dri/renderD128"], "cuda"),
        ("2.13.0+rocm7.0", None, ["dri/renderD128"], "cpu"),
        ("2.13.0+xpu", None, ["dri/card0", "dri/renderD128"], "xpu"),
        ("2.13.0+xpu", None, ["nvidia0"], "cpu"),
    ],
)
def test_the_device_follows_from_the_build_and_the_driver(tmp_path, build, shown, drivers, device):
    for name in drivers:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    environment = {} if shown is None else {"CUDA_VISIBLE_DEVICES": shown}

    assert expected_device(build, environment, tmp_path) == device
