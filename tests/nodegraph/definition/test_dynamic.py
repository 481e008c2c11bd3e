"""Inputs that depend on a node's values: rows that grow, choices with inputs, types that match."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import pytest
from pydantic import Field

from nodegraph.definition.markers import Autogrow, DynamicCombo, Lazy, Listed, Name, Optional
from nodegraph.definition.node import node
from nodegraph.errors import NodeDefinitionError
from nodegraph.execution.engine import Engine
from nodegraph.graph.dynamic_inputs import all_inputs, flatten, gather, inputs_for
from nodegraph.graph.graph import Link
from nodegraph.graph.sockets import Socket
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.object_info import object_info
from nodegraph.packs.registry import Registry
from nodegraph.packs.snapshot import PackCatalog, as_text, from_text
from nodegraph.python.export import as_python
from nodegraph.python.graph import Graph as Builder
from nodegraph.python.node_run import run_node
from nodegraph.python.stubs import stubs
from nodegraph.workflow.read import read_workflow
from tests.toys import Image, files_in, graph_of, one

Same = TypeVar("Same")
Mask = Annotated[object, Socket("MASK")]
Picture = TypeVar("Picture", Image, Mask)
Letter = Annotated[int, Field(ge=0, le=9)]


@dataclass(frozen=True)
class Still:
    pass


@dataclass(frozen=True)
class Moving:
    fps: Annotated[float, Field(ge=1)] = 6.0


@dataclass(frozen=True)
class Png:
    depth: Literal["8", "16"] = "8"


@dataclass(frozen=True)
class Avif:
    mode: Annotated[Still | Moving, DynamicCombo({"still": Still, "moving": Moving})] = Still()
    crf: Annotated[int, Field(ge=1, le=63)] = 18


@dataclass(frozen=True)
class Many:
    parts: Annotated[dict[str, int], Autogrow("part", least=1, most=3)]


Kind = Annotated[Png | Avif | Many, DynamicCombo({"png": Png, "avif": Avif, "many": Many})]


@node("Total", category="test")
def total(values: Annotated[dict[str, Letter], Autogrow(names=("a", "b", "c"))]) -> str:
    """Tell the numbers of a row."""
    return json.dumps(values)


@node("Kept", category="test")
def kept(name: str = "x", format: Kind = Png()) -> str:
    """Tell a choice."""
    return f"{name} {format}"


def wanted(inputs):
    return ["yes" if inputs["switch"] else "no"]


@node("Pick", category="test", needs=wanted)
def pick(
    switch: bool,
    no: Annotated[Same | None, Lazy()] = None,
    yes: Annotated[Same | None, Lazy()] = None,
) -> Annotated[Same | None, Name("output")]:
    """Choose one of two."""
    return yes if switch else no


@node("Gathered", category="test")
def gathered(
    items: Annotated[dict[str, Same], Autogrow("item", least=0)],
) -> Annotated[list[Same], Listed(), Name("list")]:
    """List what is linked."""
    return list(items.values())


@node("Flip", category="test")
def flip(picture: Picture) -> Annotated[Picture, Name("picture")]:
    """Flip a picture."""
    return picture


@node("AnImage", category="test")
def an_image() -> Image:
    return "image"


@node("ShowImage", category="test")
def show_image(image: Image) -> str:
    return f"shown {image}"


TYPES = (total, kept, pick, gathered, flip, an_image, show_image, one)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(Registry.from_types(*TYPES), files_in(tmp_path_factory.mktemp("dynamic")))


def result(engine, **nodes):
    return engine.run(graph_of(**nodes), targets=["x"]).outputs["x"][0]


def problems(engine, **nodes):
    checked = engine.check(graph_of(**nodes), ["x"])
    return [(found.input_name, found.code) for found in checked.problems]


def test_a_row_is_a_dict_of_what_is_given_in_its_own_order(engine):
    inputs = {"values.c": 3, "values.a": Link("one", 0)}

    assert result(engine, one=("One", {}), x=("Total", inputs)) == '{"a": 1, "c": 3}'


def test_a_row_lacks_its_required_inputs_and_knows_no_others(engine):
    checked = engine.check(graph_of(x=("Total", {"values.b": 1, "values.d": 1})), ["x"])

    assert [(p.input_name, p.code) for p in checked.problems] == [
        ("values.a", "required_input_missing")
    ]
    assert [p.input_name for p in checked.warnings] == ["values.d"]


def test_each_of_a_row_is_checked_as_the_kind_it_is(engine):
    assert problems(engine, x=("Total", {"values.a": 10})) == [
        ("values.a", "value_bigger_than_max")
    ]
    assert problems(engine, one=("AnImage", {}), x=("Total", {"values.a": Link("one", 0)})) == [
        ("values.a", "return_type_mismatch")
    ]


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"format": "png"}, "x Png(depth='8')"),
        ({"format": "png", "format.depth": "16"}, "x Png(depth='16')"),
        ({"format": "avif"}, "x Avif(mode=Still(), crf=18)"),
        (
            {"format": "avif", "format.mode": "moving", "format.mode.fps": 9, "format.crf": 20},
            "x Avif(mode=Moving(fps=9.0), crf=20)",
        ),
        (
            {"format": "many", "format.parts.part0": 4, "format.parts.part2": 5},
            "x Many(parts={'part0': 4, 'part2': 5})",
        ),
    ],
)
def test_a_choice_is_an_object_of_its_class(engine, inputs, expected):
    registry = Registry.from_types(kept)
    assert run_node(kept, inputs, engine.files, registry).value == expected


def test_inputs_of_a_choice_are_required_checked_and_no_other_choice_s(engine):
    named = {"name": "x"}
    assert problems(engine, x=("Kept", named)) == [
        ("format", "required_input_missing"),
        ("format.depth", "required_input_missing"),
    ]
    assert problems(engine, x=("Kept", {**named, "format": "jpeg"})) == [
        ("format", "value_not_in_list")
    ]
    bad = {**named, "format": "avif", "format.mode": "still", "format.crf": 64}
    assert problems(engine, x=("Kept", bad)) == [("format.crf", "value_bigger_than_max")]
    checked = engine.check(
        graph_of(x=("Kept", {**named, "format": "png", "format.depth": "8", "format.crf": 1})),
        ["x"],
    )
    assert not checked.problems
    assert [found.input_name for found in checked.warnings] == ["format.crf"]


def test_a_choice_that_is_linked_is_refused(engine):
    inputs = {"name": "x", "format": Link("p", 0)}

    checked = engine.check(graph_of(p=("Total", {"values.a": 1}), x=("Kept", inputs)), ["x"])

    assert checked.problems[0].code == "invalid_input_type"
    assert "Choose one here: 'png', 'avif', 'many'." in checked.problems[0].hint


def test_only_the_lazy_input_that_is_needed_is_computed_whatever_it_carries(engine):
    nodes = {
        "bad": ("Total", {"values.a": 1}),
        "good": ("AnImage", {}),
        "x": ("Pick", {"switch": True, "no": Link("bad", 0), "yes": Link("good", 0)}),
    }
    ran = engine.run(graph_of(**nodes), targets=["x"])

    assert ran.outputs["x"] == ("image",)
    assert ran.executed == 2


def test_a_matched_output_carries_what_is_linked(engine):
    picked = {
        "a": ("AnImage", {}),
        "p": ("Pick", {"switch": True, "yes": Link("a", 0)}),
        "q": ("Pick", {"switch": True, "yes": Link("p", 0)}),
    }

    assert result(engine, **picked, x=("ShowImage", {"image": Link("q", 0)})) == "shown image"
    checked = engine.check(graph_of(**picked, x=("Total", {"values.a": Link("q", 0)})), ["x"])
    assert "carries IMAGE" in checked.problems[0].message


def test_a_matched_input_takes_no_other_socket_than_its_own(engine):
    assert problems(
        engine, a=("Total", {"values.a": 1}), x=("Flip", {"picture": Link("a", 0)})
    ) == [("picture", "return_type_mismatch")]
    assert result(engine, a=("AnImage", {}), x=("Flip", {"picture": Link("a", 0)})) == "image"


def test_matched_outputs_that_loop_or_differ_fit_everywhere(engine):
    mixed = {
        "a": ("AnImage", {}),
        "b": ("One", {}),
        "p": ("Pick", {"switch": True, "no": Link("b", 0), "yes": Link("a", 0)}),
    }

    assert problems(engine, **mixed, x=("ShowImage", {"image": Link("p", 0)})) == []
    looped = {"p": ("Pick", {"switch": True, "yes": Link("p", 0)})}
    assert problems(engine, **looped, x=("ShowImage", {"image": Link("p", 0)})) == [(None, "cycle")]


def test_a_long_chain_of_matched_nodes_is_checked_at_once(engine):
    chain = {"n0": ("AnImage", {})}
    chain |= {
        f"n{k}": ("Pick", {"switch": True, "yes": Link(f"n{k - 1}", 0), "no": Link(f"n{k - 1}", 0)})
        for k in range(1, 500)
    }

    assert problems(engine, **chain, x=("ShowImage", {"image": Link("n499", 0)})) == []


def test_rows_and_lists_of_matched_types_go_together(engine):
    nodes = {
        "a": ("AnImage", {}),
        "g": ("Gathered", {"items.item0": Link("a", 0), "items.item1": Link("a", 0)}),
        "x": ("ShowImage", {"image": Link("g", 0)}),
    }

    assert result(engine, **nodes) == ("shown image", "shown image")


def test_object_info_is_comfyui_s(tmp_path):
    files = files_in(tmp_path)
    entries: list[Any] = [object_info(each.spec, files) for each in (total, kept, pick, flip)]
    total_entry, kept_entry, pick_entry, flip_entry = entries

    assert total_entry["input"]["required"]["values"] == [
        "COMFY_AUTOGROW_V3",
        {
            "template": {
                "input": {"required": {"values": ["INT", {"min": 0, "max": 9}]}},
                "names": ["a", "b", "c"],
                "min": 1,
            }
        },
    ]
    kind, options = kept_entry["input"]["required"]["format"]
    assert kind == "COMFY_DYNAMICCOMBO_V3"
    assert [option["key"] for option in options["options"]] == ["png", "avif", "many"]
    assert options["options"][0]["inputs"] == {
        "required": {"depth": [["8", "16"], {"default": "8"}]}
    }
    assert pick_entry["input"]["optional"]["yes"] == [
        "COMFY_MATCHTYPE_V3",
        {"lazy": True, "template": {"template_id": "Same", "allowed_types": "*"}},
    ]
    assert pick_entry["output"] == ["COMFY_MATCHTYPE_V3"]
    assert pick_entry["output_matchtypes"] == ["Same"]
    assert flip_entry["input"]["required"]["picture"][1]["template"] == {
        "template_id": "Picture",
        "allowed_types": "IMAGE,MASK",
    }


def test_a_saved_drawing_is_read_by_the_declaration(engine):
    drawing = {
        "version": 0.4,
        "nodes": [
            {"id": 1, "type": "One", "inputs": [], "outputs": [{"name": "INT", "type": "INT"}]},
            {
                "id": 2,
                "type": "Total",
                "inputs": [{"name": "values.a", "type": "INT", "link": 7}],
            },
            {"id": 3, "type": "Kept", "widgets_values": ["n", "avif", "moving", 9.5, 21]},
        ],
        "links": [[7, 1, 0, 2, 0, "INT"]],
    }
    shapes = shapes_of(engine.registry.catalog, engine.files)

    graph = read_workflow(json.dumps(drawing).encode(), shapes)

    assert graph.nodes["2"].inputs == {"values.a": Link("1", 0)}
    assert graph.nodes["3"].inputs == {
        "name": "n",
        "format": "avif",
        "format.mode": "moving",
        "format.mode.fps": 9.5,
        "format.crf": 21,
    }


def test_the_snapshot_of_a_pack_keeps_them():
    catalog = PackCatalog(
        format=1,
        digest="d",
        name="p",
        version="1",
        models={},
        nodes=tuple(each.spec for each in TYPES),
    )

    assert from_text(as_text(catalog).encode()) == catalog


def test_python_code_gives_rows_as_lists_and_choices_as_mappings(engine):
    g = Builder(engine.registry)
    number = g.node("One")[0]
    g.place("Total", {"values": [number, 4]}, "t", "")
    g.place("Total", {"values": {"a": 1, "c": number}}, "u", "")
    g.place("Kept", {"format": {"format": "avif", "mode": {"mode": "moving", "fps": 3}}}, "k", "")
    g.place("Kept", {"format": "avif", "format.crf": 5}, "l", "")
    inputs = {name: found["inputs"] for name, found in g.prompt().items()}

    assert inputs["t"] == {"values.a": ["1", 0], "values.b": 4}
    assert inputs["u"] == {"values.a": 1, "values.c": ["1", 0]}
    assert inputs["k"] == {
        "name": "x",
        "format": "avif",
        "format.mode": "moving",
        "format.mode.fps": 3,
        "format.crf": 18,
    }
    assert inputs["l"]["format.crf"] == 5
    code = as_python(g.plain(), engine.registry.catalog)
    copy: dict[str, object] = {}
    exec(code.partition("\n\nif __name__")[0], copy)  # noqa: S102 - our own code
    text = stubs(engine.registry.catalog)
    assert "values: Sequence[int | Out[INT]] | Mapping[str, int | Out[INT]]" in text
    assert "format: Literal['png', 'avif', 'many'] | Mapping[str, object] = ..." in text
    assert '"format.mode.fps": 3' in code


def test_a_name_that_no_choice_has_is_refused(engine):
    with pytest.raises(Exception, match=r"Kept has no input 'format.fps'"):
        Builder(engine.registry).place("Kept", {"format.fps": 1}, "", "")


def test_gather_and_flatten_are_each_other_s_reverse():
    values = {"format": "avif", "format.mode": "moving", "format.mode.fps": 2.0, "format.crf": 3}
    found = gather(kept.spec.inputs, values)

    assert found == {"format": {"format": "avif", "mode": {"mode": "moving", "fps": 2.0}, "crf": 3}}
    assert flatten(kept.spec.inputs, found) == values
    assert [item.name for item in inputs_for(kept.spec.inputs, values)] == [
        "name",
        "format",
        "format.mode",
        "format.mode.fps",
        "format.crf",
    ]
    assert "format.parts.part2" in {item.name for item in all_inputs(kept.spec.inputs)}


def test_equal_values_have_equal_keys_and_others_not(engine):
    def executed(inputs):
        graph = graph_of(x=("Kept", {"name": "k", **inputs}))
        return engine.run(graph, targets=["x"]).executed

    png = {"format": "png", "format.depth": "8"}
    assert executed(png) == 1
    assert executed(dict(reversed(png.items()))) == 0
    assert executed({**png, "format.depth": "16"}) == 1


@dataclass
class Clash:
    format: int = 0


class NoOption(NamedTuple):
    a: int


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Annotated[dict[str, int], Autogrow()], "no names to grow by"),
        (Annotated[dict[str, int], Autogrow("a", least=3, most=2)], "no names to grow by"),
        (Annotated[list[int], Autogrow("a")], "holds no row"),
        (Annotated[dict[str, Kind], Autogrow("a")], "rows or choices"),
        (Annotated[int, DynamicCombo({})], "has no options"),
        (Annotated[NoOption, DynamicCombo({"a": NoOption})], "has the option"),
        (Annotated[Clash, DynamicCombo({"a": Clash})], "a field of that name"),
    ],
)
def test_declarations_without_meaning_are_refused(annotation, message):
    def bad(format):
        return 0

    bad.__annotations__ = {"format": annotation, "return": int}
    with pytest.raises(NodeDefinitionError, match=message):
        node("Bad", category="test")(bad)


@pytest.mark.parametrize("default", [Avif(), Png(depth="16"), "png"])
def test_the_default_is_the_first_option_as_it_is(default):
    def bad(format: Kind = default) -> int:
        return 0

    with pytest.raises(NodeDefinitionError, match="the default of 'format'") as caught:
        node("Bad", category="test")(bad)

    assert caught.value.hint.endswith("Png().")


def test_an_optional_row_requires_nothing():
    @node("Loose", category="test")
    def loose(
        values: Annotated[dict[str, int], Autogrow("v", least=2), Optional()],
    ) -> int:
        return len(values)

    assert [item.name for item in inputs_for(loose.spec.inputs, {})] == []
    assert loose.arguments_of({}) == {"values": {}}
