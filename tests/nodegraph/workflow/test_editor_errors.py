"""Broken files in the editor format: what is wrong and where, never a traceback."""

import json
import re
from contextlib import suppress

import pytest

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.graph import Link
from nodegraph.workflow.read import read_any, read_workflow
from tests.nodegraph.drawn import drawn, item, shapes, subgraph
from tests.work import growth

SHOW = item(2, "Show", "images:IMAGE=1")
LOAD = item(1, "Load", outputs="IMAGE MASK")


def problems(workflow):
    with pytest.raises(InvalidWorkflowError) as caught:
        read_any(workflow, shapes)
    assert {problem.code for problem in caught.value.problems} == {"editor_format"}
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("workflow", "expected"),
    [
        (drawn(LOAD, LOAD), "two nodes with the id '1'"),
        (drawn() | {"links": 3}, "links is a list, not 3"),
        (drawn(links=[[1, 2]]), r"this is no link: \[1, 2\]"),
        (drawn(links=[[1, 2, 0.5, 3, 0]]), "this is no link"),
        (drawn(links=[{"id": 1}]), "this is no link"),
        (drawn(version=7), "version 7 of the editor format is not known. Versions 0.4"),
        (drawn(version="new"), "version 'new'"),
        (drawn(4), "in nodes is 4, which is no object"),
        (drawn({"type": "Load"}), "a node's id is a number or a text, not None"),
        (drawn({"id": True, "type": "Load"}), "not True"),
        (drawn({"id": 1.5, "type": "Load"}), "not 1.5"),
        (drawn({"id": 1}), "Node '1': its type is a text, not None"),
        (drawn({"id": 1, "type": "Load", "inputs": 5}), "Node '1': inputs is a list, not 5"),
        (drawn({"id": 1, "type": "Load", "inputs": [None]}), "Node '1': in inputs is None"),
        (drawn({"id": 1, "type": "Load", "inputs": [{}]}), "Node '1': the name of one of its"),
        (drawn({"id": 1, "type": "Load", "widgets_values": 5}), "Node '1': widgets_values is"),
        (drawn(definitions={"subgraphs": 3}), "definitions.subgraphs is a list, not 3"),
        (drawn(definitions={"subgraphs": [{"nodes": []}]}), "a subgraph's id is a text"),
    ],
)
def test_says_what_is_wrong_and_where(workflow, expected):
    (found,) = problems(workflow)

    assert re.search(expected, found)


def test_names_everything_that_is_wrong():
    assert len(problems(drawn(4, {"id": 1}, SHOW, links=[[]]))) == 3


def test_a_subgraph_that_contains_itself_is_refused():
    first = subgraph("first", item(1, "second"))
    second = subgraph("second", item(1, "first"))
    (found,) = problems(drawn(item(1, "first"), definitions={"subgraphs": [first, second]}))

    assert "contains itself: " in found
    assert "first -> second" in found or "second -> first" in found


def test_subgraphs_that_would_fill_the_memory_are_refused():
    graphs = [
        subgraph(f"s{k}", *(item(n, f"s{k + 1}" if k < 9 else "Load") for n in range(10)))
        for k in range(10)
    ]
    (found,) = problems(drawn(item(1, "s0"), definitions={"subgraphs": graphs}))

    assert "more than 100,000 nodes" in found


def test_subgraphs_may_nest_deeper_than_python_recurses():
    depth = 1500
    graphs = [
        subgraph(
            f"s{k}",
            item(1, f"s{k + 1}", "x:IMAGE=1") if k < depth - 1 else item(1, "Show", "x:IMAGE=1"),
            inputs=["x:IMAGE"],
            links=[[1, -10, 0, 1, 0]],
        )
        for k in range(depth)
    ]
    workflow = drawn(
        LOAD,
        item(2, "s0", "x:IMAGE=1"),
        links=[[1, 1, 0, 2, 0, "*"]],
        definitions={"subgraphs": graphs},
    )

    (*_, deepest) = read_any(workflow, shapes).nodes.values()

    assert deepest.id == "2:" + "1:" * (depth - 1) + "1"
    assert deepest.inputs["x"] == Link("1", 0)


def reroutes_of(count):
    """Reroutes in a row, and as many nodes that read the first node."""
    reroutes = [item(k, "Reroute", f":*={k}", outputs="*") for k in range(2, count)]
    links = [[k, k - 1, 0, k, 0, "*"] for k in range(2, count + 1)]
    last = item(count, "Show", f"images:IMAGE={count}")
    shows = [item(count + k, "Show", f"images:IMAGE={count + k}") for k in range(1, count)]
    links += [[count + k, 1, 0, count + k, 0, "*"] for k in range(1, count)]
    return drawn(LOAD, *reroutes, last, *shows, links=links)


def bypassed_of(count):
    """A bypassed node with many inputs and outputs, all of them in use."""
    wide = item(1, "Wide", *(f"i{k}:T{k}" for k in range(count)), outputs=" T" * count, mode=4)
    shows = [item(2 + k, "Show", f"images:*={k}") for k in range(count)]
    return drawn(wide, *shows, links=[[k, 1, k, 2 + k, 0, "*"] for k in range(count)])


def test_ten_thousand_reroutes_in_a_row_are_followed():
    count = 10_000

    graph = read_any(reroutes_of(count), shapes)

    assert len(graph.nodes) == count + 1
    assert graph.nodes[str(count)].inputs["images"] == Link("1", 0)


@pytest.mark.parametrize("draw", [reroutes_of, bypassed_of])
def test_a_drawing_twice_as_large_is_twice_the_work_to_read(draw):
    drawings = {count: draw(count) for count in (300, 600)}

    assert growth(lambda count: read_any(drawings[count], shapes), 300) < 2.2


@pytest.mark.parametrize("group", [None, 3, {}, {"nodes": [3]}, {"nodes": [{}]}, {"links": [3]}])
def test_broken_groups_are_refused_or_empty(group):
    host = item(1, "workflow>g", values=[1, 2])
    with suppress(InvalidWorkflowError):
        assert not read_any(drawn(host, extra={"groupNodes": {"g": group}}), shapes).nodes


def test_ids_may_be_huge_or_texts():
    huge = 10**1000
    show = item("a", "Show", f"images:IMAGE={huge}")
    text = json.dumps(drawn(item(huge, "Load"), show, links=[[huge, huge, 0, "a", 0, "*"]]))

    graph = read_workflow(text.encode(), shapes)

    assert graph.nodes["a"].inputs["images"] == Link(str(huge), 0)


def test_without_node_types_the_format_is_refused_by_name():
    with pytest.raises(InvalidWorkflowError, match="nodegraph convert"):
        read_any(drawn(LOAD), None)


def test_values_of_any_shape_are_kept_or_refused_but_never_raise():
    for value in (None, {}, [[]], {"a": 1}, -1, "x", True):
        node = {"id": 1, "type": "Load", "mode": value, "properties": value, "title": value}
        read_any(drawn(node, definitions=None, extra=value), shapes)
        for key in ("inputs", "outputs", "widgets_values", "type", "id"):
            with suppress(InvalidWorkflowError):
                read_any(drawn(LOAD | {key: value}), shapes)
