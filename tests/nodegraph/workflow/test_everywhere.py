"""Nodes of "Use Everywhere" are the links that they stand for."""

import pytest

from nodegraph.graph.graph import Link
from nodegraph.workflow.read import read_any
from tests.nodegraph.drawn import drawn, item, shapes, subgraph

LOAD = item(1, "Load", outputs="IMAGE MASK", values=["b.png", "image"])
SHOW = item(2, "Show", "images:IMAGE")
BLEND = item(3, "Blend", "one:IMAGE=9", "other:IMAGE", "mask:MASK")
NEW = {"extra": {"frontendVersion": "1.45.2"}}


def inputs_of(*nodes, links=(), **more):
    graph = read_any(drawn(*nodes, links=links, **more), shapes)
    return {key: node.inputs for key, node in graph.nodes.items()}


def everywhere(link=5, name="Anything Everywhere", **more):
    return item(30, name, f"anything:*={link}", outputs="", **more)


def test_open_inputs_of_the_type_get_the_value_and_others_do_not():
    links = [[5, 1, 0, 30, 0, "IMAGE"], [9, 2, 0, 3, 0, "IMAGE"]]

    found = inputs_of(LOAD, SHOW, BLEND, everywhere(), links=links)

    assert found == {
        "1": {"image": "b.png"},
        "2": {"images": Link("1", 0)},
        "3": {"one": Link("2", 0), "other": Link("1", 0)},
    }


def test_several_inputs_and_reroutes_before_them_are_followed():
    route = item(4, "Reroute", ":*=5", outputs="*")
    three = item(30, "Anything Everywhere3", "anything:*=6", "anything2:*=7", outputs="")
    blend = item(3, "Blend", "other:IMAGE", "mask:MASK")
    links = [[5, 1, 0, 4, 0, "*"], [6, 4, 0, 30, 0, "*"], [7, 1, 1, 30, 1, "MASK"]]

    found = inputs_of(LOAD, route, blend, three, links=links)

    assert found["3"] == {"other": Link("1", 0), "mask": Link("1", 1)}


@pytest.mark.parametrize("mode", [2, 4])
def test_muted_and_bypassed_ones_send_nothing(mode):
    found = inputs_of(LOAD, SHOW, everywhere(mode=mode), links=[[5, 1, 0, 30, 0, "IMAGE"]])

    assert found["2"] == {}


def test_one_without_a_link_or_a_type_sends_nothing():
    found = inputs_of(SHOW, item(30, "Anything Everywhere", "anything:*", outputs=""))

    assert found == {"2": {}}


@pytest.mark.parametrize(
    ("values", "properties", "reached"),
    [
        (["Preview", ".*"], {}, {"one"}),
        ([".*", "^ima"], {}, {"one", "two"}),
        (["Nothing", ".*"], {}, set()),
        (["(", ""], {}, set()),
        ([], {"ue_properties": {"title_regex": "Two", "input_regex": ""}}, {"two"}),
    ],
)
def test_patterns_choose_nodes_and_inputs(values, properties, reached):
    one = item("one", "Show", "images:IMAGE", title="Preview")
    two = item("two", "Show", "images:IMAGE", title="Two")
    sender = everywhere(name="Anything Everywhere?", values=values, properties=properties)

    found = inputs_of(LOAD, one, two, sender, links=[[5, 1, 0, 30, 0, "IMAGE"]])

    assert {key for key in ("one", "two") if found[key]} == reached


def test_a_pattern_goes_before_everything():
    other = item(6, "Load", outputs="IMAGE")
    plain = everywhere()
    by_name = item(31, "Anything Everywhere?", "anything:*=6", outputs="", values=["Show", ""])

    found = inputs_of(
        LOAD,
        other,
        SHOW,
        plain,
        by_name,
        links=[[5, 1, 0, 30, 0, "IMAGE"], [6, 6, 0, 31, 0, "IMAGE"]],
    )

    assert found["2"] == {"images": Link("6", 0)}


def test_prompts_go_to_positive_and_negative_inputs():
    prompts = [item(k, "Encode", outputs="CONDITIONING") for k in (4, 5)]
    sampler = item(2, "New", "positive:CONDITIONING", "negative:CONDITIONING", "other:CONDITIONING")
    sender = item(30, "Prompts Everywhere", "+ve:CONDITIONING=4", "-ve:CONDITIONING=5", outputs="")

    found = inputs_of(
        *prompts, sampler, sender, links=[[4, 4, 0, 30, 0, "*"], [5, 5, 0, 30, 1, "*"]]
    )

    assert found["2"] == {"positive": Link("4", 0), "negative": Link("5", 0)}


def test_a_seed_goes_to_seeds_that_are_sockets():
    seed = item(30, "Seed Everywhere", outputs="INT", values=[77, "fixed"])
    sample = item(2, "Sample", "seed:INT!", "steps:INT!", values=[1, "fixed", 30, 0.5])

    assert inputs_of(seed, sample)["2"] == {"seed": 77, "steps": 30, "scale": 0.5}
    assert inputs_of(seed, sample, **NEW)["2"]["seed"] == 1
    for properties in (
        {"widget_ue_connectable": {"seed": True}},
        {"ue_properties": {"widget_ue_connectable": {"seed": True}}},
    ):
        opened = sample | {"properties": properties}
        assert inputs_of(seed, opened, **NEW)["2"]["seed"] == 77


def test_a_seed_may_be_linked_as_a_primitive_is():
    seed = item(30, "Seed Everywhere", outputs="INT", values=[77, "fixed"])
    sample = item(2, "Sample", "steps:INT!=1", values=[1, "fixed", 30, 0.5])

    found = inputs_of(seed, sample, links=[[1, 30, 0, 2, 0, "INT"]])

    assert found["2"]["steps"] == 77


def test_each_canvas_is_by_itself():
    inner = subgraph(
        "inner",
        item(1, "Load", outputs="IMAGE"),
        SHOW,
        everywhere(),
        links=[[5, 1, 0, 30, 0]],
    )

    found = inputs_of(item(7, "inner"), SHOW, definitions={"subgraphs": [inner]})

    assert found["7:2"] == {"images": Link("7:1", 0)}
    assert found["2"] == {}


def test_patterns_of_a_hostile_file_take_no_time():
    for pattern in ("(a+)+$", "a*a*a*a*a*b", "(a|a)*b", "x" * 1000):
        sender = everywhere(name="Anything Everywhere?", values=[pattern, ".*"])
        one = item("one", "Show", "images:IMAGE", title="a" * 5000)
        assert inputs_of(LOAD, one, sender, links=[[5, 1, 0, 30, 0, "IMAGE"]])["one"] == {}


def placed(node, x, y, **more):
    """Draw a node at a place, 100 wide and high."""
    return node | {"pos": [x, y], "size": [100, 100], **more}


def limited(**properties):
    return everywhere(properties={"ue_properties": {"version": "7.4", **properties}})


GROUPS = [
    {"title": "Left side", "bounding": [0, 0, 300, 300]},
    {"title": "Right side", "bounding": [500, 0, 300, 300]},
]
RED = {"color": "#f00"}


@pytest.mark.parametrize(
    ("properties", "reached"),
    [
        ({}, {"left", "right", "out"}),
        ({"group_restricted": 1}, {"left"}),
        ({"group_restricted": 2}, {"right", "out"}),
        ({"group_regex": "^Right"}, {"right"}),
        ({"group_regex": "^Right", "group_regex_invert": True}, {"left"}),
        ({"group_regex": "side"}, {"left", "right"}),
        ({"group_regex": "^Right", "group_restricted": 1}, set()),
        ({"color_restricted": 1}, {"right"}),
        ({"color_restricted": 2}, {"left", "out"}),
        ({"title_regex": "One", "title_regex_invert": True}, {"right", "out"}),
    ],
)
def test_groups_and_colours_limit_the_nodes_that_are_reached(properties, reached):
    sender = placed(limited(**properties), 10, 40, **RED)
    nodes = [
        placed(item("left", "Show", "images:IMAGE", title="One"), 150, 100),
        placed(item("right", "Show", "images:IMAGE", title="Two"), 600, 100, **RED),
        placed(item("out", "Show", "images:IMAGE", title="Three"), 290, 100),
    ]

    found = inputs_of(LOAD, sender, *nodes, links=[[5, 1, 0, 30, 0, "IMAGE"]], groups=GROUPS)

    assert {key for key in ("left", "right", "out") if found[key]} == reached


def test_the_highest_priority_counts_and_of_equal_ones_none():
    other = item(6, "Load", outputs="IMAGE")
    second = item(31, "Anything Everywhere", "anything:*=6", outputs="")
    links = [[5, 1, 0, 30, 0, "IMAGE"], [6, 6, 0, 31, 0, "IMAGE"]]

    def read(first, **settings):
        last = second | {"properties": {"ue_properties": settings}}
        return read_any(drawn(LOAD, other, SHOW, first, last, links=links), shapes)

    undecided = read(everywhere())
    assert undecided.nodes["2"].inputs == {}
    assert [(one.code, one.node_id) for one in undecided.remarks] == [("mended_file", "2")]
    assert read(everywhere(), priority=11).nodes["2"].inputs == {"images": Link("6", 0)}
    assert read(limited(group_restricted=2)).nodes["2"].inputs == {"images": Link("1", 0)}


@pytest.mark.parametrize(
    ("rule", "names", "expected"),
    [
        (0, ("other", "one"), {"one": Link("6", 0), "other": Link("1", 0)}),
        (0, ("oth", "on"), {}),
        (1, ("oth", "on"), {"one": Link("6", 0), "other": Link("1", 0)}),
        (2, ("her", "ne"), {"one": Link("6", 0), "other": Link("1", 0)}),
        (3, ("Blending", "x"), {"one": Link("1", 0), "other": Link("1", 0)}),
    ],
)
def test_two_inputs_of_one_type_go_by_their_names(rule, names, expected):
    other = item(6, "Load", outputs="IMAGE")
    slots = [
        {"name": "anything", "type": "*", "link": link, "label": name}
        for link, name in zip((5, 6), names, strict=True)
    ]
    sender = limited(repeated_type_rule=rule) | {"inputs": slots}
    blend = item(3, "Blend", "one:IMAGE", "other:IMAGE", title="Blending")

    found = inputs_of(
        LOAD,
        other,
        sender,
        blend,
        links=[[5, 1, 0, 30, 0, "IMAGE"], [6, 6, 0, 30, 1, "IMAGE"]],
    )

    assert found["3"] == expected


@pytest.mark.parametrize(
    "properties",
    [{"rejects_ue_links": True}, {"ue_properties": {"input_ue_unconnectable": {"images": True}}}],
)
def test_nodes_and_inputs_may_refuse(properties):
    shown = SHOW | {"properties": properties}

    assert inputs_of(LOAD, shown, everywhere(), links=[[5, 1, 0, 30, 0, "IMAGE"]])["2"] == {}


def test_a_text_goes_to_a_choice_only_where_that_is_allowed():
    text = item(1, "Text", outputs="STRING", values=["a.png"])
    load = item(2, "Load", "image:COMBO!", values=["b.png", "image"])
    links = [[5, 1, 0, 30, 0, "STRING"]]

    assert inputs_of(text, load, limited(), links=links)["2"] == {"image": "b.png"}
    allowed = limited(string_to_combo=1)
    assert inputs_of(text, load, allowed, links=links)["2"] == {"image": Link("1", 0)}


def test_the_links_that_the_pack_saved_go_before_its_rules():
    other = item(6, "Load", outputs="IMAGE")
    link = {"upstream": "6", "upstream_slot": 0, "downstream": 2, "downstream_slot": 0}
    links = [[5, 1, 0, 30, 0, "IMAGE"]]

    def shown(**change):
        saved = [None, {"downstream": 2}, link | {"controller": 30, "type": "IMAGE"} | change]
        extra = {"ue_links": saved}
        return inputs_of(LOAD, other, SHOW, everywhere(), links=links, extra=extra)["2"]

    assert shown() == {"images": Link("6", 0)}
    for change in ({"upstream": 99}, {"controller": 99}, {"downstream": 1}, {"upstream_slot": "x"}):
        assert shown(**change) == {"images": Link("1", 0)}


def test_a_subgraphs_own_input_can_be_sent():
    links = [[5, -10, 0, 30, 0]]
    inner = subgraph("inner", SHOW, everywhere(), inputs=["image:IMAGE"], links=links)
    host = item(7, "inner", "image:IMAGE=8")

    found = inputs_of(
        LOAD, host, links=[[8, 1, 0, 7, 0, "IMAGE"]], definitions={"subgraphs": [inner]}
    )

    assert found["7:2"] == {"images": Link("1", 0)}


@pytest.mark.parametrize(
    "groups", [None, 5, [5], [{"bounding": "x"}], [{"bounding": [1, "x", 3, 4]}]]
)
def test_groups_of_another_shape_hold_nothing(groups):
    found = inputs_of(
        LOAD, SHOW, limited(group_restricted=1), links=[[5, 1, 0, 30, 0, "IMAGE"]], groups=groups
    )

    assert found["2"] == {}
