"""Fixtures of pytest for packs, found by pytest wherever nodegraph is installed."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

if TYPE_CHECKING:
    from nodegraph.definition.node import NodeType
    from nodegraph.execution.engine import RunResult
    from nodegraph.files.files import Files
    from nodegraph.packs.registry import Registry
    from nodegraph.python.node_run import NodeRun

_DEMO = "demo-shapes.safetensors"


class Model(NamedTuple):
    """A small checkpoint, loaded."""

    model: Any
    clip: Any
    vae: Any


@pytest.fixture(scope="session")
def nodegraph_registry() -> "Registry":
    """The node types of all packs that are installed, or in the packs folder."""
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings

    return Registry.from_settings(Settings.read())


@pytest.fixture
def nodegraph_files(tmp_path: Path, nodegraph_registry: "Registry") -> "Files":
    """Folders of the test's own: `models`, `input`, `output` and `temp` below `tmp_path`."""
    from nodegraph.files.files import Files
    from nodegraph.files.folders import Folders

    folders = replace(Folders.under(tmp_path), more_models=nodegraph_registry.model_places)
    for folder in (*folders.models, folders.input, folders.output, folders.temp):
        folder.mkdir(parents=True, exist_ok=True)
    return Files(folders)


@pytest.fixture
def run_node(nodegraph_registry: "Registry", nodegraph_files: "Files") -> "Callable[..., NodeRun]":
    """Run a node type by the real engine: `run_node(blur, image=picture, radius=2).value`."""
    from nodegraph.python.node_run import run_node as run

    def call(kind: "NodeType[..., Any]", **inputs: object) -> "NodeRun":
        return run(kind, inputs, nodegraph_files, nodegraph_registry)

    return call


@pytest.fixture(scope="session")
def tiny_model(nodegraph_registry: "Registry", tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A real Stable Diffusion 1.5 model of 64 x 64 pixels, small enough for a CPU."""
    from nodegraph.execution.engine import Engine
    from nodegraph.files.files import Files
    from nodegraph.files.folders import Folders
    from nodegraph.graph.graph import Graph, Node

    root = tmp_path_factory.mktemp("tiny_model")
    folders = replace(Folders.under(root), more_models=nodegraph_registry.model_places)
    node = Node("1", "CheckpointLoaderSimple", {"ckpt_name": _DEMO})
    engine = Engine(nodegraph_registry, Files(folders))
    return Model(*engine.run(Graph({"1": node}), targets=["1"]).outputs["1"])


@pytest.fixture
def workflow(
    nodegraph_registry: "Registry", nodegraph_files: "Files"
) -> "Callable[[Path | str | Mapping[str, Any]], RunResult]":
    """Run a workflow, a file or a dictionary, with all packs: `workflow("test.json").ui`."""
    from nodegraph.execution.engine import Engine
    from nodegraph.packs.editor_shapes import shapes_of
    from nodegraph.workflow.read import read_prompt, read_workflow

    shapes = shapes_of(nodegraph_registry.catalog, nodegraph_files)
    engine: Engine = Engine(nodegraph_registry, nodegraph_files)

    def call(source: "Path | str | Mapping[str, Any]") -> "RunResult":
        if isinstance(source, Mapping):
            return engine.run(read_prompt(dict(source)))
        return engine.run(read_workflow(Path(source), shapes))

    return call
