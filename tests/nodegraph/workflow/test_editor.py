"""The editor format: widgets, virtual nodes, bypass, mute and subgraphs."""

import pytest

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.graph import Link
from nodegraph.workflow.editor.texts import plain_prompt
from nodegraph.workflow.read import read_any
from tests.nodegraph.drawn import drawn, item, shapes, subgraph


def inputs_of(workflow):
    return {key: node.inputs for key, node in read_any(workflow, shapes).nodes.items()}


LOAD = item(1, "Load", outputs="IMAGE MASK", values=["b.png", "image"])


def test_widgets_take_the_saved_values_in_order_and_the_editors_own_are_left_out():
    sample = item(2, "Sample", "image:IMAGE=1", values=[42, "randomize", 30, 0.25])

    found = inputs_of(drawn(LOAD, sample, links=[[1, 1, 0, 2, 0, "IMAGE"]]))

    assert found == {
        "1": {"image": "b.png"},
        "2": {"image": Link("1", 0), "seed": 42, "steps": 30, "scale": 0.25},
    }


def test_widgets_that_were_not_saved_have_their_defaults():
    assert inputs_of(drawn(item(2, "Sample", values=[1]))) == {
        "2": {"seed": 1, "steps": 20, "scale": 0.5}
    }


def test_values_may_be_saved_by_name():
    node = item(2, "Sample") | {"widgets_values": {"scale": 2.0, "seed": 3}}

    assert inputs_of(drawn(node))["2"] == {"seed": 3, "steps": 20, "scale": 2.0}


def test_a_link_goes_before_the_widget_of_its_name():
    sample = item(2, "Sample", "image:IMAGE", "steps:INT!=5", values=[1, "fixed", 30, 0.5])
    number = item(9, "Number", outputs="INT", values=[12])

    found = inputs_of(drawn(number, sample, links=[[5, 9, 0, 2, 1, "INT"]]))

    assert found["2"]["steps"] == Link("9", 0)


def test_links_may_be_objects_and_version_1_is_read():
    link = {"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 2, "target_slot": 0}
    found = inputs_of(drawn(LOAD, item(2, "Show", "images:IMAGE=1"), links=[link], version=1))

    assert found["2"] == {"images": Link("1", 0)}


def test_reroutes_notes_and_primitives_are_not_in_the_graph():
    workflow = drawn(
        LOAD,
        item(3, "Reroute", ":*=1", outputs="IMAGE"),
        item(4, "Reroute", ":*=2", outputs="IMAGE"),
        item(5, "PrimitiveNode", outputs="INT", values=[33, "fixed"]),
        item(6, "Note", values=["hello"]),
        item(7, "MarkdownNote", values=["hello"]),
        item(2, "Sample", "image:IMAGE=3", "steps:INT!=4", values=[1, "fixed", 30, 0.5]),
        links=[
            [1, 1, 0, 3, 0, "IMAGE"],
            [2, 3, 0, 4, 0, "IMAGE"],
            [3, 4, 0, 2, 0, "IMAGE"],
            [4, 5, 0, 2, 1, "INT"],
        ],
    )

    found = inputs_of(workflow)

    assert list(found) == ["1", "2"]
    assert found["2"] == {"image": Link("1", 0), "seed": 1, "steps": 33, "scale": 0.5}


@pytest.mark.parametrize(
    ("output", "expected"),
    [(0, {"images": Link("1", 0)}), (1, {"images": Link("1", 1)})],
)
def test_a_bypassed_node_hands_on_its_first_input_of_the_same_type(output, expected):
    blend = item(2, "Blend", "one:IMAGE=1", "other:IMAGE", "mask:MASK=2", outputs="IMAGE MASK")
    workflow = drawn(
        LOAD,
        blend | {"mode": 4},
        item(3, "Show", "images:IMAGE=3"),
        links=[
            [1, 1, 0, 2, 0, "IMAGE"],
            [2, 1, 1, 2, 2, "MASK"],
            [3, 2, output, 3, 0, "IMAGE"],
        ],
    )

    assert inputs_of(workflow) == {"1": {"image": "b.png"}, "3": expected}


def test_a_muted_node_is_gone_and_so_are_the_links_from_it():
    workflow = drawn(
        LOAD | {"mode": 2},
        item(3, "Show", "images:IMAGE=3"),
        links=[[3, 1, 0, 3, 0, "IMAGE"]],
    )

    assert inputs_of(workflow) == {"3": {}}


INNER = subgraph(
    "inner",
    item(1, "Sample", "image:IMAGE=1", "steps:INT!=2", values=[5, "fixed", 8, 0.5]),
    inputs=["image:IMAGE", "steps:INT"],
    outputs=["IMAGE:IMAGE"],
    links=[[1, -10, 0, 1, 0], [2, -10, 1, 1, 1], [3, 1, 0, -20, 0]],
)
OUTER = subgraph(
    "outer",
    item(4, "inner", "image:IMAGE=1", "steps:INT!", values=[11]),
    item(5, "inner", "image:IMAGE=2", "steps:INT!=3", values=[12]),
    inputs=["picture:IMAGE", "steps:INT"],
    outputs=["IMAGE:IMAGE"],
    links=[[1, -10, 0, 4, 0], [2, 4, 0, 5, 0], [3, -10, 1, 5, 1], [4, 5, 0, -20, 0]],
)


def nested(*, steps="steps:INT!", values=(21,), **more):
    return drawn(
        LOAD,
        item(17, "outer", "picture:IMAGE=1", steps, values=values, **more),
        item(3, "Show", "images:IMAGE=2"),
        item(9, "Number", outputs="INT", values=[2]),
        links=[[1, 1, 0, 17, 0, "*"], [2, 17, 0, 3, 0, "*"], [7, 9, 0, 17, 1, "INT"]],
        definitions={"subgraphs": [OUTER, INNER]},
    )


def test_subgraphs_unfold_with_the_values_that_their_nodes_hold():
    found = inputs_of(nested())

    assert found["17:4:1"] == {"image": Link("1", 0), "seed": 5, "steps": 11, "scale": 0.5}
    assert found["17:5:1"]["image"] == Link("17:4:1", 0)
    assert found["17:5:1"]["steps"] == 21
    assert found["3"] == {"images": Link("17:5:1", 0)}


def test_a_link_into_a_subgraph_reaches_all_the_way_in():
    assert inputs_of(nested(steps="steps:INT!=7"))["17:5:1"]["steps"] == Link("9", 0)


def test_a_subgraph_is_bypassed_and_muted_as_one_node():
    assert inputs_of(nested(mode=4))["3"] == {"images": Link("1", 0)}
    assert inputs_of(nested(mode=2))["3"] == {}


def test_where_a_subgraphs_node_holds_no_value_the_first_one_inside_counts():
    assert inputs_of(nested(values=()))["17:5:1"]["steps"] == 12


def test_a_node_of_unknown_type_keeps_its_links():
    workflow = drawn(
        LOAD,
        item(2, "Elsewhere", "image:IMAGE=1", values=[1, 2]),
        links=[[1, 1, 0, 2, 0, "IMAGE"]],
    )

    assert inputs_of(workflow)["2"] == {"image": Link("1", 0)}


def test_titles_are_the_nodes_own_or_their_types():
    nodes = read_any(drawn(LOAD, item(2, "Load", title="Portrait")), shapes).nodes

    assert [node.title for node in nodes.values()] == ["Load", "Portrait"]


def test_a_loop_of_reroutes_is_an_error():
    workflow = drawn(
        item(3, "Reroute", ":*=1", outputs="IMAGE"),
        item(4, "Reroute", ":*=2", outputs="IMAGE"),
        item(2, "Show", "images:IMAGE=2"),
        links=[[1, 4, 0, 3, 0, "*"], [2, 3, 0, 4, 0, "*"]],
    )

    with pytest.raises(InvalidWorkflowError, match=r"Node '2': .* a loop of reroutes"):
        read_any(workflow, shapes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a {red|green} car", "a red car"),
        ("{a {big|small} cat|a dog}{|s}", "a big cat"),
        ("{one}", "one"),
        (r"\{one|two\}", "{one|two}"),
        (r"{a\|b|c} d", "a|b d"),
        (r"{\|_\||d}", "|_|"),
        (r"{a\{b|c} d", "a{b d"),
        (r"\\{a|b} \| \(c\)", r"\\a | \(c\)"),
        (r"{a {\\|b}|c}", r"a \\"),
        ("\\", "\\"),
        ("open { brace|or not", "open  brace"),
        ("close } brace | bar", "close } brace | bar"),
        ("a // not this\nb", "a \nb"),
        ("a /* nor\nthis */b", "a b"),
        ("a /* b", "a /* b"),
    ],
)
def test_prompts_lose_their_comments_and_their_other_ways(text, expected):
    assert plain_prompt(text) == expected


def test_long_prompts_take_no_time_to_read():
    assert plain_prompt("{" * 100_000) == ""
    assert plain_prompt("/* " * 100_000) == "/* " * 100_000
    assert plain_prompt("{a|" * 100_000 + "}" * 100_000) == "a"
    assert plain_prompt("\\" * 99_999 + "{") == "\\" * 99_998 + "{"
    assert plain_prompt(r"{\{a" * 100_000) == "{a" * 100_000
    assert plain_prompt(r"{\\a" * 100_000 + "}" * 100_000) == r"\\a" * 100_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"{{{\\\\|}}}", r"\\\\"),
        (r"{{{\\\\\|}}}", r"\|"),
        (r"\\{{\\}\|}", r"\\\|"),
        (r"\\{}|", r"\|"),
        (r"{a\\|b}\}", r"a\\}"),
        (r"{a{b\\}\}|c}", r"ab\}"),
    ],
)
def test_each_brace_around_a_mark_takes_a_backslash(text, expected):
    assert plain_prompt(text) == expected


def test_a_primitives_value_goes_no_further_than_one_link():
    workflow = drawn(
        item(5, "PrimitiveNode", outputs="INT", values=[33, "fixed"], mode=2),
        item(3, "Reroute", ":*=1", outputs="INT"),
        item(1, "Number", "value:INT!=3", outputs="INT", values=[1]),
        item(2, "Number", "value:INT!=2", outputs="INT", values=[1]),
        links=[[1, 5, 0, 3, 0, "INT"], [2, 3, 0, 2, 0, "INT"], [3, 5, 0, 1, 0, "INT"]],
    )

    assert inputs_of(workflow) == {"1": {"value": 33}, "2": {"value": 1}}


@pytest.mark.parametrize(
    ("proxied", "values", "expected"),
    [
        ([["1", "steps"]], [99], {"steps": 99, "scale": 0.5}),
        ([["-1", "steps"]], [99], {"steps": 99, "scale": 0.5}),
        ([["1", "scale"], ["1", "steps"]], [2.5, 99], {"steps": 99, "scale": 2.5}),
        ([["1", "$$preview"], ["1", "steps"]], [99], {"steps": 99, "scale": 0.5}),
        ([["1", "steps"]], [], {"steps": 8, "scale": 0.5}),
        ([[], 3, ["1"]], [7], {"steps": 8, "scale": 0.5}),
    ],
)
def test_a_subgraphs_node_may_hold_values_for_the_nodes_inside_by_name(proxied, values, expected):
    properties = {"proxyWidgets": proxied}
    host = item(17, "inner", "image:IMAGE", "steps:INT!", values=values, properties=properties)

    found = inputs_of(drawn(host, definitions={"subgraphs": [INNER]}))

    assert found["17:1"] == {"seed": 5} | expected


GROUP = {
    "nodes": [
        item(-1, "Load", outputs="IMAGE MASK", values=["a.png", "image"]),
        item(-1, "Sample", "image:IMAGE=1", values=[1, "fixed", 20, 0.5]),
        item(-1, "Blend", "one:IMAGE=1", "other:IMAGE", "mask:MASK=2"),
    ],
    "links": [[0, 0, 1, 0, 9, "IMAGE"], [1, 0, 2, 0, 9, "IMAGE"]],
    "external": [[0, 0, "IMAGE"]],
}


@pytest.mark.parametrize("type_name", ["workflow>All in one", "workflow/All in one"])
def test_group_nodes_unfold_like_subgraphs(type_name):
    inputs = ["other:IMAGE", "mask:MASK=1", "steps:INT!=2"]
    workflow = drawn(
        LOAD,
        item(9, "Number", outputs="INT", values=[2]),
        item(7, type_name, *inputs, values=["c.png", "image", 4, "fixed", 30, 0.1]),
        item(3, "Show", "images:IMAGE=3"),
        item(4, "Show", "images:IMAGE=4"),
        links=[
            [1, 1, 1, 7, 1, "MASK"],
            [2, 9, 0, 7, 2, "INT"],
            [3, 7, 0, 3, 0, "IMAGE"],
            [4, 7, 2, 4, 0, "IMAGE"],
        ],
        extra={"groupNodes": {"All in one": GROUP}},
    )

    found = inputs_of(workflow)

    assert found["7:0"] == {"image": "c.png"}
    sampled = {"image": Link("7:0", 0), "seed": 4, "steps": Link("9", 0), "scale": 0.1}
    assert found["7:1"] == sampled
    assert found["7:2"] == {"one": Link("7:1", 0), "mask": Link("1", 1)}
    assert found["3"] == {"images": Link("7:0", 0)}
    assert found["4"] == {"images": Link("7:2", 0)}


def test_widgets_that_a_group_hides_keep_the_value_inside():
    config = {"1": {"input": {"seed": {"visible": False}}}}
    host = item(7, "workflow>g", values=["c.png", "image", "fixed", 30, 0.1])
    workflow = drawn(host, extra={"groupNodes": {"g": GROUP | {"config": config}}})

    found = inputs_of(workflow)["7:1"]

    assert found == {"image": Link("7:0", 0), "seed": 1, "steps": 30, "scale": 0.1}


def test_file_names_may_name_the_values_of_other_nodes():
    prefix = "%Size.value%_%Other name.value%_%Gone.value%_%Linked.value%_%date:yyyy%_%year%"
    named = {"Node name for S&R": "Other name"}
    workflow = drawn(
        item(1, "Number", values=[512], title="Size", outputs="INT"),
        item(2, "Number", values=["a/b"], properties=named),
        item(3, "Number", "value:INT!=1", title="Linked"),
        item(9, "Save", values=[prefix]),
        links=[[1, 1, 0, 3, 0, "INT"]],
    )

    found = inputs_of(workflow)["9"]["filename_prefix"]

    assert found == "512_a_b_%Gone.value%_%Linked.value%_%date:yyyy%_%year%"


def test_named_values_are_found_on_the_canvas_and_around_it():
    inner = subgraph("inner", item(1, "GetNode", values=["pic"]), item(2, "Show", "images:IMAGE=1"))
    inner["links"] = [[1, 1, 0, 2, 0, "IMAGE"]]
    workflow = drawn(
        LOAD,
        item(5, "SetNode", "IMAGE:IMAGE=1", values=["pic"]),
        item(6, "GetNode", values=["pic"]),
        item(7, "GetNode", values=["nobody"]),
        item(8, "Fast Groups Muter (rgthree)", outputs="*"),
        item(2, "Show", "images:IMAGE=2"),
        item(3, "Show", "images:IMAGE=3"),
        item(4, "inner"),
        links=[[1, 1, 0, 5, 0, "*"], [2, 6, 0, 2, 0, "*"], [3, 7, 0, 3, 0, "*"]],
        definitions={"subgraphs": [inner]},
    )

    assert inputs_of(workflow) == {
        "1": {"image": "b.png"},
        "2": {"images": Link("1", 0)},
        "3": {},
        "4:2": {"images": Link("1", 0)},
    }
