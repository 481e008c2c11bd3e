"""Nodes that choose, convert, fill in and list plain values, in the real engine."""

import json

import pytest

from nodegraph.errors import NodeGraphError
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Link
from nodegraph.packs.registry import Registry
from nodes.builtin.logic.choices import (
    comfy_switch_node,
    create_list,
    custom_combo,
    get_item_from_list,
)
from nodes.builtin.logic.json_texts import (
    convert_array_to_string,
    convert_dictionary_to_string,
    json_extract_string,
)
from nodes.builtin.logic.numeric import (
    color_to_rgb_int,
    comfy_math_expression,
    comfy_number_convert,
    resolution_selector,
    seed_node,
)
from nodes.builtin.logic.templates import string_format
from nodes.builtin.text.primitives import primitive_int, primitive_string
from tests.toys import files_in, graph_of

TYPES = (
    comfy_switch_node,
    create_list,
    get_item_from_list,
    comfy_math_expression,
    primitive_int,
    primitive_string,
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(Registry.from_types(*TYPES), files_in(tmp_path_factory.mktemp("logic")))


def test_a_switch_computes_the_chosen_side_alone(engine):
    nodes = graph_of(
        bad=("ComfyMathExpression", {"expression": "1 / 0", "values.a": 1}),
        good=("PrimitiveInt", {"value": 5}),
        s=(
            "ComfySwitchNode",
            {"switch": True, "on_false": Link("bad", 0), "on_true": Link("good", 0)},
        ),
    )

    assert engine.run(nodes, targets=["s"]).outputs["s"] == (5,)


def test_a_side_that_is_not_linked_has_no_value(engine):
    nodes = graph_of(
        good=("PrimitiveInt", {"value": 5}),
        s=("ComfySwitchNode", {"switch": False, "on_true": Link("good", 0)}),
    )

    assert engine.run(nodes, targets=["s"]).outputs["s"] == (None,)


def test_a_combo_gives_any_word_and_its_place(run_node):
    assert run_node(custom_combo, choice="Turbo", index=2).values == ("Turbo", 2)
    assert run_node(custom_combo, choice="anything").values == ("anything", 0)


def test_a_formula_gives_three_kinds_of_numbers(run_node):
    def results(expression, **values):
        return run_node(comfy_math_expression, expression=expression, values=values).values

    assert results("a * b", a=3, b=0.5) == (1.5, 1, True)
    assert results("a > b", a=1, b=2) == (0.0, 0, False)
    assert results("sum(values)", a=1, b=True, z=2.5) == (4.5, 4, True)
    assert results("-a / 2", a=3) == (-1.5, -1, True)
    with pytest.raises(NodeGraphError, match="'b', which is not given"):
        results("a + b", a=1)


def test_a_formula_needs_numbers():
    with pytest.raises(NodeGraphError, match="'x' is no number"):
        comfy_math_expression("a", {"a": "x"})


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (3, (3.0, 3)),
        (-2.9, (-2.9, -2)),
        (True, (1.0, 1)),
        (False, (0.0, 0)),
        ("123", (123.0, 123)),
        (" -3.99 ", (-3.99, -3)),
        ("1e3", (1000.0, 1000)),
        ("9007199254740993", (9007199254740992.0, 9007199254740993)),
    ],
)
def test_values_become_numbers(value, found):
    assert comfy_number_convert(value) == found


@pytest.mark.parametrize(
    "value",
    ["", " ", "twelve", "inf", "nan", float("inf"), None, [1], "9" * 5000, "9" * 390, 10**400],
)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(NodeGraphError, match="is no number"):
        comfy_number_convert(value)


@pytest.mark.parametrize(
    ("ratio", "megapixels", "multiple", "size"),
    [
        ("1:1 (Square)", 1.0, 8, (1024, 1024)),
        ("16:9 (Widescreen)", 0.4, 32, (864, 480)),
        ("1:1 (Square)", 2, 8, (1448, 1448)),
        ("9:16 (Portrait Widescreen)", 1.0, 16, (768, 1360)),
        ("21:9 (Ultrawide)", 0.1, 128, (512, 256)),
    ],
)
def test_a_resolution_has_the_ratio_and_the_size(run_node, ratio, megapixels, multiple, size):
    found = run_node(
        resolution_selector, aspect_ratio=ratio, megapixels=megapixels, multiple=multiple
    )

    assert found.values == size


def test_colours_are_numbers(run_node):
    assert run_node(color_to_rgb_int, color="#0a9299").values == (0x0A9299, "#0a9299", 1.0)
    assert run_node(color_to_rgb_int, color="#FFFFFF80").values == (0xFFFFFF, "#FFFFFF", 128 / 255)


@pytest.mark.parametrize("bad", ["0a9299", "#0a929", "#0a929g", "#0a92990", "", 5])
def test_what_is_no_colour_is_refused(bad):
    with pytest.raises(NodeGraphError, match="is no colour"):
        color_to_rgb_int(bad)


def test_a_seed_is_held(run_node):
    assert run_node(seed_node, seed=2**63 - 1).value == 2**63 - 1
    assert run_node(seed_node).value == 0
    assert seed_node.spec.inputs[0].widget["control_after_generate"] == "fixed"


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{a}:{b}", "1:0.25"),
        ("{b:.3f} {a:>4} {a!r} {a:0{a}d}", "0.250    1 1 1"),
        ('{{"x": {a}}}', '{"x": 1}'),
        ("nothing", "nothing"),
        ("", ""),
    ],
)
def test_values_are_filled_into_a_text(template, filled):
    assert string_format(template, {"a": 1, "b": 0.25}) == filled


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{c}", "{c}, which has no value"),
        ("{}", "no value"),
        ("{0}", "no value"),
        ("{a.__class__}", "no value"),
        ("{a[0]}", "no value"),
        ("{a", "not valid"),
        ("{a:q}", "not valid"),
        ("{a:>99999999999}", "pads to more"),
        ("{a:>1000}", "pads to more"),
        ("{b:.99999f}", "pads to more"),
        ("{a:{a}{a}{a}{a}{a}}", "pads to more"),
    ],
)
def test_placeholders_reach_values_alone(template, problem):
    with pytest.raises(NodeGraphError) as caught:
        string_format(template, {"a": 1, "b": 0.5})

    assert problem in caught.value.message


def test_a_filled_text_has_an_end():
    with pytest.raises(NodeGraphError, match="characters long"):
        string_format("{a}" * 10, {"a": "x" * 2_000_000})


REPLY = 'Sure! ```json\n{"prompt": "a {cat}", "n": 4, "yes": true, "no": null, "in": {"k": [1]}}```'


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        (REPLY, "prompt", "a {cat}"),
        (REPLY, "n", "4"),
        (REPLY, "yes", "True"),
        (REPLY, "no", ""),
        (REPLY, "absent", ""),
        (REPLY, "in", '{"k": [1]}'),
        ("no object", "a", ""),
        ("[1, 2]", "a", ""),
        ('{ broken {"a": 1.5}', "a", "1.5"),
        ("", "", ""),
        ("{" * 100_000, "a", ""),
        ('{"a":' * 50_000, "a", ""),
    ],
)
def test_a_key_is_read_out_of_a_reply(text, key, found):
    assert json_extract_string(text, key) == found


def test_lists_and_dictionaries_are_written_as_json():
    assert convert_array_to_string([1, "ä"], 0) == '[1, "ä"]'
    assert json.loads(convert_dictionary_to_string({"a": [1]}, 2)) == {"a": [1]}
    assert convert_dictionary_to_string({"a": 1}, 2) == '{\n  "a": 1\n}'
    with pytest.raises(NodeGraphError, match="can not be written as JSON"):
        convert_array_to_string([{1}], 0)


def test_a_list_goes_through_the_graph(engine):
    nodes = graph_of(
        a=("PrimitiveInt", {"value": 4}),
        b=("PrimitiveString", {"value": "x"}),
        first=("CreateList", {"inputs.input0": Link("a", 0), "inputs.input1": Link("b", 0)}),
        all=("CreateList", {"inputs.input0": Link("first", 0), "inputs.input5": Link("a", 0)}),
        item=("GetItemFromList", {"list": Link("all", 0), "index": 1}),
    )

    ran = engine.run(nodes, targets=["all", "item"]).outputs
    assert list(ran["all"][0]) == [4, "x", 4]
    assert ran["item"] == ("x",)


@pytest.mark.parametrize(("place", "hint"), [(2, "0 to 1"), (-3, "0 to 1")])
def test_a_list_has_no_other_items(place, hint):
    with pytest.raises(NodeGraphError) as caught:
        get_item_from_list(["a", "b"], [place])

    assert hint in caught.value.hint
    assert get_item_from_list(["a", "b"], [-2]) == "a"
