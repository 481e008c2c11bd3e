"""The prompt that a person sent stays as it is, in images and on the way to workers."""

import json
from typing import Any

import pytest

from nodegraph.cli.assign import assign, set_seeds
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.api_format import as_sent, read_prompt, to_prompt
from nodegraph.workflow.read import read_workflow
from tests.nodegraph.workflow.test_embedded import png
from tests.toys import registry_of

REGISTRY = registry_of()
SENT: dict[str, Any] = {
    "x": {
        "inputs": {"a": "1", "odd": [None, {"b": 1}]},
        "class_type": "Add",
        "is_changed": ["x"],
        "_meta": {"title": "X", "color": "#fff"},
    },
    "y": {"class_type": "Facts", "inputs": {"value": ["x", 0]}},
}


def test_what_options_set_is_set_in_it_too():
    graph = assign(read_prompt(SENT), ["x.a=5", 'y.value=["x", 0]'], REGISTRY.catalog)

    expected = {**SENT, "x": {**SENT["x"], "inputs": {**SENT["x"]["inputs"], "a": 5}}}
    assert as_sent(graph) == expected
    assert as_sent(set_seeds(graph, 7, REGISTRY.catalog)) == expected


def test_defaults_and_names_of_today_leave_it_alone():
    sent = {"1": {"class_type": "T2IAdapterLoader", "inputs": {}}, "2": {"class_type": "Add"}}

    graph = with_defaults(read_prompt(sent), REGISTRY.catalog)

    assert graph.nodes["1"].type_name == "ControlNetLoader"
    assert as_sent(graph) == sent


@pytest.mark.parametrize("odd", [float("nan"), 2**70, "\ud800"])
def test_what_is_no_json_elsewhere_is_left_out(odd):
    sent = {"x": {"class_type": "Add", "inputs": {"a": 1}, "is_changed": [odd]}}

    graph = read_prompt(sent)

    assert as_sent(graph) == to_prompt(graph) == {"x": {"class_type": "Add", "inputs": {"a": 1}}}


def test_versions_are_read_from_the_text_beside_it():
    sent = {
        "1": {"class_type": "Add", "inputs": {}},
        "2": {"class_type": "Add", "inputs": {}, "_meta": {"version": "0.5"}},
        "3": {"class_type": "Show", "inputs": {}},
    }
    made = {"nodegraph": "0.1.0", "versions": {"Add": "1.0", "Show": 3}}

    graph = read_workflow(png(prompt=json.dumps(sent), nodegraph=json.dumps(made)))

    assert [node.version for node in graph.nodes.values()] == ["1.0", "0.5", None]
    assert as_sent(graph) == sent
    for odd in ("{", "[]", '{"versions": 5}'):
        assert read_workflow(png(prompt=json.dumps(sent), nodegraph=odd)).nodes["1"].version is None
