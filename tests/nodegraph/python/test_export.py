"""Workflows as Python code: it builds the same graph, and type checkers have nothing against it."""

import json
import lzma
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nodegraph import Graph
from nodegraph.errors import InvalidWorkflowError
from nodegraph.files.files import Files
from nodegraph.files.folders import Folders
from nodegraph.graph.graph import Graph as PlainGraph
from nodegraph.graph.graph import Link, Node
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.registry import Registry
from nodegraph.python.export import as_python
from nodegraph.python.stubs import SHIPPED, stubs
from nodegraph.workflow.read import read_any, read_prompt, read_workflow

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "tests/data/editor.json.xz"
ODD = {
    "it's": {"class_type": "PrimitiveString", "inputs": {"value": 'a "b" \\ \n ü'}},
    "for": {
        "class_type": "ModelMergeSD1",
        "inputs": {"model1": ["1", 0], "model2": ["2", 0], "time_embed.": 0.5},
    },
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
    "2": {
        "class_type": "CheckpointLoaderSimple",
        "inputs": {"ckpt_name": "x.safetensors", "more": {"a": [1, None]}},
        "_meta": {"title": "class"},
    },
    "e": {"class_type": "Epsilon Scaling", "inputs": {"model": ["for", 0], "scaling_factor": 1}},
    "k": {"class_type": "KSampler", "inputs": {"model": ["e", 0], "seed": "7", "cfg": True}},
}
"""Ids, names and values that no Python name or type fits."""


@pytest.fixture(scope="module")
def catalog():
    return Registry.load(["nodes"]).catalog


def workflows():
    """Graphs by name: those shipped, one of every odd thing, and one of nothing."""
    found = {path.stem: read_workflow(path) for path in sorted((ROOT / "workflows").glob("*.json"))}
    return found | {"odd": read_prompt(ODD), "nothing": PlainGraph({}), "no_title": read_prompt({})}


def templates(catalog):
    """The templates of the editor that have only node types which are offered here."""
    data = json.loads(lzma.decompress(TEMPLATES.read_bytes()))["templates"]
    shapes = shapes_of(catalog, Files(Folders.under(ROOT)))
    return {
        name: read_any(item["workflow"], shapes)
        for name, item in data.items()
        if all(node["class_type"] in catalog for node in item["prompt"].values())
    }


def rebuilt(code, folder, name):
    path = folder / f"{name}.py"
    path.write_text(code)
    graph = runpy.run_path(str(path))["build"]()
    assert isinstance(graph, Graph)
    return graph.plain()


@pytest.mark.parametrize("name", workflows())
def test_the_code_builds_the_same_graph(name, catalog, tmp_path):
    graph = workflows()[name]

    assert rebuilt(as_python(graph, catalog, name), tmp_path, name) == graph


def test_the_code_of_templates_builds_the_same_graphs(catalog, tmp_path):
    found = templates(catalog)

    assert len(found) >= 30
    for number, graph in enumerate(found.values()):
        assert rebuilt(as_python(graph, catalog), tmp_path, f"t{number}") == graph


def test_a_type_checker_has_nothing_against_the_code_and_finds_mistakes(catalog, tmp_path):
    for name, graph in {**workflows(), **templates(catalog)}.items():
        (tmp_path / f"{name}.py").write_text(as_python(graph, catalog, name))
    code = (tmp_path / "txt2img.py").read_text()
    (tmp_path / "swapped.py").write_text(code.replace("vae=vae", "vae=model"))
    (tmp_path / "misspelt.py").write_text(code.replace("steps=20", "step=20"))
    (tmp_path / "wrong.py").write_text(code.replace('"euler"', '"oiler"'))
    settings = {"typeCheckingMode": "strict", "extraPaths": [str(ROOT)], "venvPath": "."}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    checker = shutil.which("basedpyright", path=str(Path(sys.executable).parent))
    assert checker, "the test command installs basedpyright"

    done = subprocess.run(
        [checker, "-p", str(tmp_path), "--outputjson", "--pythonpath", sys.executable],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = {Path(item["file"]).stem for item in found if item["severity"] == "error"}

    assert errors == {"swapped", "misspelt", "wrong"}


def test_what_cannot_be_built_is_told_all_at_once(catalog):
    nodes = {
        "a": Node("a", "NoSuchType", {}),
        "b": Node("b", "VAEDecode", {"samples": Link("gone", 0), "vae": Link("c", 9)}),
        "c": Node("c", "CheckpointLoaderSimple", {}),
        "d": Node("d", "ImageInvert", {"image": Link("d", 0)}),
    }

    with pytest.raises(InvalidWorkflowError) as caught:
        as_python(PlainGraph(nodes), catalog)

    assert [problem.node_id for problem in caught.value.problems] == ["a", "b", "b", "d"]


def test_the_shipped_stub_is_current(catalog):
    assert SHIPPED.read_text() == stubs(catalog), "run `make catalog`"
