"""Graphs that Python code builds."""

import json
from typing import Annotated, Any

import pytest

from nodegraph import Graph, Optional, node
from nodegraph.errors import InvalidPromptError, NodeGraphError, UnknownNodeTypeError
from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from nodegraph.python.outputs import Out, Placed
from nodegraph.workflow.read import read_workflow
from tests.toys import add, files_in, one, show


@pytest.fixture
def registry():
    return Registry.from_types(one, add, show)


@pytest.fixture
def g(registry):
    return Graph(registry)


def test_methods_place_nodes_and_link_them(g):
    placed = g.Show(value=g.Add(a=g.One(), b=3), title_="See", id_="see")

    assert placed == Placed("see")
    assert g.prompt() == {
        "1": {"class_type": "One", "inputs": {}},
        "2": {"class_type": "Add", "inputs": {"a": ["1", 0], "b": 3}},
        "see": {"class_type": "Show", "inputs": {"value": ["2", 0]}, "_meta": {"title": "See"}},
    }


def test_what_is_not_given_has_its_default():
    @node("Sized", category="test")
    def sized(width: int = 64, note: Annotated[str, Optional()] = "") -> int:
        """Hand the width on."""
        return width

    g: Any = Graph(Registry.from_types(sized))
    g.Sized()

    assert g.prompt()["1"]["inputs"] == {"width": 64}


def test_a_graph_runs_for_its_output_nodes_or_for_those_asked_for(g, registry, tmp_path):
    total = g.Add(a=g.One(), b=3)
    seen = g.Show(value=total)
    engine = Engine(registry, files_in(tmp_path))

    result = g.run(engine=engine)
    assert result.ui[seen.node_id].values == {"text": ["4"]}
    assert g.run([total], engine=engine).outputs[total.node_id][total.index] == 4


def test_several_outputs_unpack_and_carry_their_number():
    model, clip, vae = Graph().CheckpointLoaderSimple(ckpt_name="a.safetensors")

    assert (model, clip, vae) == (Out("1", 0), Out("1", 1), Out("1", 2))


def test_a_saved_graph_is_a_workflow_file(g, tmp_path):
    g.Show(value=g.Add(a=1, b=[1, 2]))
    g.save(tmp_path / "it.json")

    assert read_workflow(tmp_path / "it.json") == g.plain()
    assert json.loads((tmp_path / "it.json").read_text())["1"]["inputs"]["b"] == {
        "__value__": [1, 2]
    }


def test_a_client_gets_the_prompt(g):
    class Client:
        def submit(self, workflow):
            return list(workflow)

    g.One()

    assert g.submit(Client()) == ["1"]


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda g: g.Ade(a=1), UnknownNodeTypeError, "Did you mean 'Add'"),
        (lambda g: g.Add(aa=1), NodeGraphError, "has no input 'aa'"),
        (lambda g: g.Add(a=g.node("Add", {"a": 1})), NodeGraphError, "takes one output"),
        (lambda g: g.Add(a=Out("9", 0)), NodeGraphError, "another graph"),
        (lambda g: g.Add(a=g.One(id_="x"), id_="x"), InvalidPromptError, "'x' already"),
    ],
)
def test_mistakes_are_told_where_they_are_made(g, build, error, message):
    with pytest.raises(error) as caught:
        build(g)

    assert message in str(caught.value)


def test_numbers_skip_ids_that_are_taken(g):
    g.One(id_="2")

    assert g.One().node_id == "3"
