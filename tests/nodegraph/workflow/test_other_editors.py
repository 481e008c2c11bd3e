"""Files of older editors, of other packs and of broken tools, read as today's editor reads them."""

import pytest

from nodegraph.graph.graph import Link
from nodegraph.workflow.api_format import to_prompt
from nodegraph.workflow.editor.shapes import shape_of
from nodegraph.workflow.read import read_any
from tests.nodegraph.drawn import INFO, drawn, entry, item, subgraph

INFO_HERE = INFO | {
    "ShowText": {"input": {"required": {"text": ["STRING", {"forceInput": True}]}}},
    "Replace": entry(
        "STRING",
        text=["STRING", {"forceInput": True}],
        find=["STRING", {"default": ""}],
        replace=["STRING", {"default": ""}],
    ),
    "Counted": entry(
        "INT",
        count=["INT", {"forceInput": True, "control_after_generate": True}],
        name=["STRING", {}],
    ),
    "Settings": {
        "input": {
            "required": {"length": ["INT", {"default": 16}]},
            "optional": {
                "seed_override": ["INT", {"defaultInput": True}],
                "adapt": ["BOOLEAN", {"default": True}],
            },
        }
    },
    "Required": entry("INT", number=["INT", {"default": 3, "defaultInput": True}]),
    "KSampler": entry(
        "LATENT",
        sampler_name=[["euler", "heun"], {"default": "heun"}],
        scheduler=[["simple", "karras"], {"default": "karras"}],
    ),
    "EmptyLatentImage": entry("LATENT", width=["INT", {"default": 512}])
    | {"display_name": "Empty Latent Image"},
    "ControlNetLoader": entry("CONTROL_NET", control_net_name=[["x"], {}]),
    "ConditioningAverage": entry("CONDITIONING", strength=["FLOAT", {"default": 1.0}]),
    "IPAdapterApply": entry(
        "MODEL",
        model="MODEL",
        ipadapter="IPADAPTER",
        weight=["FLOAT", {"default": 1.0}],
        start_percent=["FLOAT", {"default": 0.0}],
        end_percent=["FLOAT", {"default": 1.0}],
    ),
}
SOURCE = item(9, "Number", outputs="INT", values=[12])


def shapes(name):
    return shape_of(name, INFO_HERE[name]) if name in INFO_HERE else None


def read(*nodes, links=(), **more):
    return read_any(drawn(*nodes, links=links, **more), shapes)


def inputs_of(*nodes, links=(), **more):
    return {key: node.inputs for key, node in read(*nodes, links=links, **more).nodes.items()}


def test_a_link_to_a_widget_that_is_a_socket_by_force_now_is_kept():
    shown = item(2, "ShowText", "text:STRING!=1", values=[["hello"]])

    found = inputs_of(SOURCE, shown, links=[[1, 9, 0, 2, 0, "STRING"]])

    assert found["2"] == {"text": Link("9", 0)}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (item(1, "Replace", values=["placeholder", "cat", "dog"]), ("cat", "dog")),
        (item(1, "Replace", values=["cat", "dog"]), ("cat", "dog")),
        (item(1, "Replace", values=["cat"]), ("cat", "")),
    ],
)
def test_values_of_inputs_that_are_sockets_by_force_now_are_dropped(node, expected):
    assert tuple(inputs_of(node)["1"].values()) == expected


def test_the_control_of_an_input_that_is_a_socket_now_counts_as_a_value():
    # The editor drops the input's value and keeps its control's, which is the name then.
    assert inputs_of(item(1, "Counted", values=[5, "fixed", "x"]))["1"] == {"name": "fixed"}


def test_an_optional_default_input_is_a_socket_and_a_required_one_a_widget():
    settings = item(1, "Settings", values=[8, False])

    assert inputs_of(settings, item(2, "Required", values=[4])) == {
        "1": {"length": 8, "adapt": False},
        "2": {"number": 4},
    }


def test_null_in_a_list_is_its_first_choice_and_samplers_lose_the_prefix_of_2023():
    found = inputs_of(item(1, "KSampler", values=["sample_euler", None]))

    assert found["1"] == {"sampler_name": "euler", "scheduler": "simple"}


CURVE = {"points": [[0, 0], [1, 1]], "interpolation": "linear"}
BOX = {"x": 3, "y": 4, "width": 50, "height": 60}


@pytest.mark.parametrize(
    ("kind", "saved", "sent"),
    [
        ("COLOR", ["#ff0000"], "#ff0000"),
        ("MARKDOWN", ["# a"], "# a"),
        ("TEXTAREA", ["a"], "a"),
        ("IMAGECOMPARE", [], {"__value__": ["", ""]}),
        ("BOUNDING_BOX", [BOX, 3, 4, 50, 60], BOX),
        ("BOUNDING_BOXES", [[BOX]], {"__value__": [BOX]}),
        ("CHART", [{"a": 1}], {"a": 1}),
        ("GALLERIA", [["a.png"]], {"__value__": ["a.png"]}),
        ("PAINTER", [None], None),
        ("COMPOSITOR", [{"layers": []}], {"layers": []}),
        ("CURVE", [CURVE], {"__type__": "CURVE", "__value__": CURVE}),
        ("RANGE", [{"min": 0, "max": 2}], {"min": 0, "max": 2}),
        ("VIDEO_EDIT", [{"trim": {"start_time": 1}}], {"trim": {"start_time": 1}}),
        ("COLORS", [["#000000"]], {"__value__": ["#000000"]}),
    ],
)
def test_every_kind_of_widget_has_its_places_and_is_sent_as_the_editor_sends_it(kind, saved, sent):
    known = shape_of("Drawn", entry("IMAGE", image="IMAGE", first=kind, tail=["INT", {}]))

    graph = read_any(drawn(item(1, "Drawn", values=[*saved, 123])), lambda _: known)

    assert to_prompt(graph)["1"]["inputs"] == {"first": sent, "tail": 123}


def test_links_that_lead_nowhere_are_dropped_and_told():
    shown = item(2, "Show", "images:IMAGE=1")
    sample = item(3, "Sample", "image:IMAGE=7", "steps:INT!=8", values=[1, "fixed", 30, 0.5])

    graph = read(shown, sample, links=[[1, 8, 0, 2, 0, "*"], [5, 9, 0, None, None, "IMAGE"]])

    assert {key: node.inputs for key, node in graph.nodes.items()} == {
        "2": {},
        "3": {"seed": 1, "steps": 30, "scale": 0.5},
    }
    assert [(remark.code, remark.node_id) for remark in graph.remarks] == [
        ("mended_file", "2"),
        ("mended_file", "3"),
        ("mended_file", "3"),
    ]
    assert "input 'steps' has a link that leads nowhere. It is left out." in str(graph.remarks[2])


def test_a_link_out_of_a_subgraph_that_leads_nowhere_is_dropped():
    inner = subgraph("inner", item(1, "Load"), outputs=["IMAGE:IMAGE"], links=[[1, 99, 0, -20, 0]])
    graph = read(
        item(5, "inner"),
        item(2, "Show", "images:IMAGE=1"),
        links=[[1, 5, 0, 2, 0, "*"]],
        definitions={"subgraphs": [inner]},
    )

    assert graph.nodes["2"].inputs == {}


def test_links_may_be_in_an_object_and_the_version_a_text():
    link = {"id": 1, "origin_id": 9, "origin_slot": 0, "target_id": 2, "target_slot": 0}
    workflow = drawn(SOURCE, item(2, "ShowText", "text:STRING=1"))

    graph = read_any(workflow | {"links": {"1": link}, "version": "0.4"}, shapes)

    assert graph.nodes["2"].inputs == {"text": Link("9", 0)}


def test_a_prefix_names_nodes_by_search_name_first_and_then_by_the_title_of_their_type():
    prefix = "%Empty Latent Image.width%_%Small.width%_%nothing.x%_%Small.a.b%"
    nodes = [
        item(1, "EmptyLatentImage", values=[64]),
        item(2, "EmptyLatentImage", values=[32], title="Small"),
        item(3, "EmptyLatentImage", values=[16], properties={"Node name for S&R": "Small"}),
        item(4, "Save", values=[prefix]),
    ]

    found = inputs_of(*nodes)

    assert found["4"] == {"filename_prefix": "64_16_%nothing.x%_%Small.a.b%"}


def test_null_that_a_subgraphs_node_holds_leaves_the_value_inside():
    inner = subgraph("inner", item(1, "Sample", values=[5, "fixed", 8, 0.5]))
    host = item(7, "inner", values=[None, 9]) | {
        "properties": {"proxyWidgets": [["1", "steps"], ["1", "seed"]]}
    }

    assert inputs_of(host, definitions={"subgraphs": [inner]}) == {
        "7:1": {"seed": 9, "steps": 8, "scale": 0.5}
    }


GROUP = {
    "nodes": [
        {"type": "Sample", "index": 0, "widgets_values": [1, "fixed", 30, 0.5]}
        | {"inputs": [{"name": "image", "type": "IMAGE", "link": None}]}
        | {"outputs": [{"name": "IMAGE", "type": "IMAGE"}]}
    ],
    "links": [[None, 1, 0, 0, 4, "IMAGE"]],
    "external": [[0, 0, "IMAGE"]],
}


def test_a_groups_link_from_outside_is_left_out():
    load = item(1, "Load", outputs="IMAGE MASK", values=["b.png", "image"])
    host = item(2, "workflow>g", "image:IMAGE=1", values=[3, "fixed", 4, 0.25])

    found = inputs_of(load, host, links=[[1, 1, 0, 2, 0, "*"]], extra={"groupNodes": {"g": GROUP}})

    assert found["2:0"] == {"image": Link("1", 0), "seed": 3, "steps": 4, "scale": 0.25}


@pytest.mark.parametrize("group", [GROUP, {"links": [3]}, {"nodes": [{}]}, 5])
def test_a_group_that_no_node_uses_is_not_looked_at(group):
    assert list(inputs_of(SOURCE, extra={"groupNodes": {"g": group}})) == ["9"]


def test_groups_inside_of_groups_are_used():
    outer = {"nodes": [{"type": "workflow/g", "index": 0, "inputs": [], "outputs": []}]}

    found = inputs_of(item(2, "workflow/o"), extra={"groupNodes": {"g": GROUP, "o": outer}})

    assert list(found) == ["2:0:0"]


@pytest.mark.parametrize(
    ("given", "type_name", "inputs"),
    [
        (item(1, "ConditioningAverage ", values=[0.5]), "ConditioningAverage", {"strength": 0.5}),
        (item(1, "T2IAdapterLoader", values=["x"]), "ControlNetLoader", {"control_net_name": "x"}),
        (item(1, "SDV_img2vid_Conditioning"), "SVD_img2vid_Conditioning", {}),
    ],
)
def test_types_have_the_names_of_today(given, type_name, inputs):
    node = read(given).nodes["1"]

    assert (node.type_name, node.inputs) == (type_name, inputs)


def test_types_and_their_inputs_have_the_names_of_today_in_the_api_format_too():
    old = {"1": {"class_type": "T2IAdapterLoader", "inputs": {"t2i_adapter_name": "x"}}}

    node = read_any(old, None).nodes["1"]

    assert (node.type_name, node.inputs) == ("ControlNetLoader", {"control_net_name": "x"})


@pytest.mark.parametrize(
    ("given", "ours"),
    [
        (item(1, "IPAdapterApply", "model:MODEL", values=[0.7, 0.1, 0.9]), True),
        (item(1, "IPAdapterApply", "model:MODEL"), True),
        (item(1, "IPAdapterApply", "ipadapter:IPADAPTER", values=[0.7, 0.2]), False),
        (item(1, "IPAdapterApply", values=[0.7, 0.2, "original", 0.1, 0.9]), False),
        (item(1, "IPAdapterApply", "model:MODEL", "attn_mask:MASK", values=[1, 0, 1]), False),
    ],
)
def test_the_namesake_of_another_pack_is_told_from_ours(given, ours):
    node = read(given).nodes["1"]

    assert (node.type_name == "IPAdapterApply") == ours
    assert "noise" not in node.inputs
    assert bool(node.inputs) == ours


def test_the_namesake_is_told_by_its_inputs_in_the_api_format():
    theirs = {"1": {"class_type": "IPAdapterApply", "inputs": {"weight": 1, "noise": 0.2}}}

    assert read_any(theirs, None).nodes["1"].type_name.endswith("(ComfyUI_IPAdapter_plus)")
