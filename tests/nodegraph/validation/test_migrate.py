"""Graphs that name the versions of their node types."""

import json
from typing import Annotated

import pytest

from nodegraph.definition.markers import Optional
from nodegraph.definition.node import node
from nodegraph.errors import InvalidWorkflowError
from nodegraph.execution.engine import Engine
from nodegraph.graph.results import Ui
from nodegraph.packs.registry import Registry
from nodegraph.validation.migrate import pin_versions
from nodegraph.workflow.read import read_prompt, to_prompt
from tests.toys import add, files_in, one


def from_percent(inputs, version):
    """Version 1 had `percent` where version 2 has `share`."""
    if version == "0":
        raise ValueError(version)
    rest = {name: value for name, value in inputs.items() if name != "percent"}
    return rest | {"share": inputs["percent"] / 100}


@node(
    "Shares",
    category="test",
    version="2.0",
    migrate="tests.nodegraph.validation.test_migrate:from_percent",
    output_node=True,
)
def shares(share: float, a: Annotated[int, Optional()] = 0) -> Ui:
    return Ui(values={"share": [share], "a": [a]})


@pytest.fixture
def engine(tmp_path):
    return Engine(Registry.from_types(one, add, shares), files_in(tmp_path))


def graph(version=None, type_name="Shares", **inputs):
    meta = {} if version is None else {"_meta": {"version": version}}
    return read_prompt({"1": {"class_type": type_name, "inputs": inputs, **meta}})


@pytest.mark.parametrize(
    ("version", "type_name", "inputs"),
    [
        ("1.0", "Shares", {"percent": 25}),
        (None, "Shares@1.0", {"percent": 25}),
        ("2.0", "Shares", {"share": 0.25}),
        (None, "Shares", {"share": 0.25}),
        (None, "Shares@2.0", {"share": 0.25}),
    ],
)
def test_an_older_node_is_migrated_and_a_present_one_is_not(engine, version, type_name, inputs):
    result = engine.run(graph(version, type_name, **inputs))

    assert result.ui["1"].values["share"] == [0.25]
    assert result.warnings == ()


def test_links_survive_a_migration(engine):
    prompt = to_prompt(graph("1.0", percent=50, a=["2", 0]))
    prompt |= {"2": {"class_type": "One", "inputs": {}}}

    assert engine.run(read_prompt(prompt)).ui["1"].values == {"share": [0.5], "a": [1]}


def test_a_version_that_nothing_migrates_is_a_remark(engine):
    prompt = {
        "1": {"class_type": "Shares", "inputs": {"share": 1.0, "a": ["2", 0]}},
        "2": {"class_type": "Add@0.5", "inputs": {"a": 1}},
    }
    checked = engine.check(read_prompt(prompt))

    assert checked.problems == ()
    assert [(w.node_id, w.code) for w in checked.warnings] == [("2", "other_version")]
    assert "version '0.5' of Add; 1.0 is here" in str(checked.warnings[0])


def test_a_migration_that_fails_is_a_problem_of_that_node(engine):
    with pytest.raises(InvalidWorkflowError) as caught:
        engine.run(graph("0", percent=25))

    (problem, *_) = caught.value.problems
    assert (problem.node_id, problem.code) == ("1", "custom_validation_failed")
    assert "ValueError" in problem.message


def test_saved_graphs_name_the_versions(engine):
    saved = to_prompt(pin_versions(graph(share=1.0), engine.registry.catalog))

    assert saved["1"]["_meta"] == {"version": "2.0"}
    assert json.loads(json.dumps(saved)) == to_prompt(read_prompt(saved))


def test_a_type_whose_own_name_has_a_version_in_it_is_that_type(tmp_path):
    def nothing() -> None:
        return None

    odd = node("Odd@2", category="test", output_node=True)(nothing)
    engine = Engine(Registry.from_types(odd), files_in(tmp_path))

    assert engine.check(graph(type_name="Odd@2")).problems == ()
