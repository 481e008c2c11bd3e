"""Nodes of types that nobody describes, read by the names that the file has."""

import json
from pathlib import Path

import pytest

from nodegraph.graph.graph import Link
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_any
from tests.nodegraph.drawn import drawn, item, shapes, subgraph
from tests.toys import files_in

ROOT = Path(__file__).parents[3]


def read(*nodes, shapes=shapes, **more):
    return read_any(drawn(*nodes, **more), shapes)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (
            item(1, "New", "text:STRING!", "on:BOOLEAN!", values=["a", True]),
            {"text": "a", "on": True},
        ),
        (
            item(1, "New", "seed:INT!", "name:COMBO!", values=[5, "randomize", "x"]),
            {"seed": 5, "name": "x"},
        ),
        (item(1, "New", "n:INT!", "x:FLOAT!", values=["button", 3, 0.5]), None),
        (item(1, "New", "n:INT!", values=[3, "text"]), None),
        (item(1, "New", "image:IMAGE", values=[3]), None),
        (item(1, "New", "image:IMAGE"), {}),
        (item(1, "New", "a:INT!", "b:INT!", values=[1]), {"a": 1}),
        (
            item(1, "New", values=[1, "fixed", "x.png", "image"])
            | {
                "widgets_values_named": {
                    "seed": 9,
                    "control_after_generate": "fixed",
                    "image": "hash.png",
                    "upload": "image",
                }
            },
            {"seed": 1, "image": "x.png"},
        ),
        (item(1, "New", values=[1]) | {"widgets_values_named": {"a": 2, "b": 3}}, {"a": 2, "b": 3}),
        (
            item(1, "New", "box:BOUNDING_BOX!", values=[{"x": 1}, 1, {}])
            | {"widgets_values_named": {"box": {}, "x": 0, "videopreview": {}}},
            {"box": {"x": 1}, "x": 1},
        ),
        (
            item(1, "New") | {"widgets_values": {"rate": 8, "preview": {}, "videopreview": {}}},
            {"rate": 8},
        ),
        (item(1, "New", "rate:INT!") | {"widgets_values": {"rate": 8, "x": 1}}, {"rate": 8}),
    ],
)
def test_values_have_the_names_that_the_file_has_or_none(node, expected):
    graph = read(node)

    assert graph.nodes["1"].inputs == (expected or {})
    assert graph.nameless == (frozenset() if expected is not None else {"1"})


def test_a_link_and_what_a_subgraphs_node_holds_go_first():
    inner = subgraph(
        "inner",
        item(1, "New", "steps:INT!=1", "name:STRING!", values=[5, "x"]),
        inputs=["steps:INT"],
        links=[[1, -10, 0, 1, 0]],
    )
    host = item(7, "inner", "steps:INT!=2", values=["y"]) | {
        "properties": {"proxyWidgets": [["1", "name"]]}
    }
    number = item(9, "Number", outputs="INT", values=[3])

    graph = read(number, host, links=[[2, 9, 0, 7, 0, "INT"]], definitions={"subgraphs": [inner]})

    assert graph.nodes["7:1"].inputs == {"steps": Link("9", 0), "name": "y"}


def test_a_subgraph_without_links_gives_the_first_value_inside():
    inner = subgraph(
        "inner",
        item(1, "New", "steps:INT!=1", values=[5]),
        item(2, "New", "steps:INT!=2", values=[6]),
        inputs=["steps:INT"],
        links=[[1, -10, 0, 1, 0], [2, -10, 0, 2, 0]],
    )

    graph = read(item(7, "inner", "steps:INT!"), definitions={"subgraphs": [inner]})

    assert [node.inputs for node in graph.nodes.values()] == [{"steps": 5}, {"steps": 5}]


def test_names_in_the_file_go_before_a_description_that_ships(tmp_path):
    ships = shapes_of({}, files_in(tmp_path))
    plain = item(1, "ConditioningStableAudio", "positive:CONDITIONING", values=[1.5, 40.0])
    named = plain | {"widgets_values_named": {"seconds_start": 1.5, "a": 40.0}}

    assert read(plain, shapes=ships).nodes["1"].inputs == {
        "seconds_start": 1.5,
        "seconds_total": 40.0,
    }
    assert read(named, shapes=ships).nodes["1"].inputs == {"seconds_start": 1.5, "a": 40.0}


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        (["on", 0.7, 64, 0.95, 0.05, 1.05, 5, 0.5], {"": "on", "seed": 5, "presence_penalty": 0.5}),
        (["off"], {"": "off"}),
    ],
)
def test_a_choice_of_a_node_type_brings_its_own_values(saved, expected, tmp_path):
    """Its seed has no control behind it, and the system's prompt is a socket."""
    node = item(1, "TextGenerate", "prompt:STRING!", values=["a", 512, *saved, True, False, "2"])
    catalog = Registry.load(["nodes"]).catalog

    found = read(node, shapes=shapes_of(catalog, files_in(tmp_path))).nodes["1"].inputs

    chosen = {f"sampling_mode.{key}".removesuffix("."): each for key, each in expected.items()}
    rest = {"thinking": True, "use_default_template": False, "mtp": "2"}
    wanted = {"prompt": "a", "max_length": 512, **chosen, **rest}
    assert {key: found[key] for key in wanted} == wanted
    assert "system_prompt" not in found


def test_what_is_offered_here_is_not_described_besides():
    newer = json.loads((ROOT / "nodegraph/workflow/editor/newer_nodes.json").read_text())

    assert newer.keys().isdisjoint(Registry.load(["nodes"]).catalog)
