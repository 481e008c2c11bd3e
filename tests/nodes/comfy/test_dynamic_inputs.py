"""Rows, choices with inputs of their own, and shared types, as the v3 schema declares them."""

from typing import Any

import pytest

from nodegraph.errors import InvalidWorkflowError
from nodegraph.execution.engine import Engine
from nodegraph.packs.object_info import object_info
from nodegraph.packs.registry import Registry
from nodegraph.workflow.read import read_prompt

PACK = """
from comfy_api.latest import ComfyExtension, io


class Node(io.ComfyNode):
    @classmethod
    def execute(cls, **given):
        return io.NodeOutput(repr(sorted(given.items())))


def schema(name, *inputs, outputs=None):
    return io.Schema(
        node_id=name, category="toys", inputs=list(inputs), outputs=outputs or [io.String.Output()]
    )


class Rows(Node):
    @classmethod
    def define_schema(cls):
        number = io.Int.Input("number", default=3)
        return schema(
            "Rows",
            io.Autogrow.Input("numbers", io.Autogrow.TemplatePrefix(number, "n", min=1, max=3)),
            io.Autogrow.Input("named", io.Autogrow.TemplateNames(number, names=["a", "b"], min=0)),
        )


class Choice(Node):
    @classmethod
    def define_schema(cls):
        deep = io.DynamicCombo.Input("deep", options=[io.DynamicCombo.Option("flat", [])])
        options = [
            io.DynamicCombo.Option("by", [io.Float.Input("factor", default=2.0, max=4.0)]),
            io.DynamicCombo.Option("to", [io.Int.Input("width", optional=True), deep]),
        ]
        return schema("Choice", io.DynamicCombo.Input("how", options=options, tooltip="Which."))


class Same(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        kind = io.MatchType.Template("kind", allowed_types=[io.Int, io.String])
        return schema(
            "Same",
            io.Boolean.Input("second"),
            io.MatchType.Input("one", template=kind, lazy=True),
            io.MatchType.Input("two", template=kind, optional=True),
            outputs=[io.MatchType.Output(template=kind, display_name="same")],
        )

    @classmethod
    def check_lazy_status(cls, second, one=None, two=None):
        return [] if second else ["one"]

    @classmethod
    def execute(cls, second, one=None, two=None):
        return io.NodeOutput(two if second else one)


class Float(Node):
    @classmethod
    def define_schema(cls):
        return schema("Float", io.Float.Input("value"), outputs=[io.Float.Output()])

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(value)


class Number(Node):
    @classmethod
    def define_schema(cls):
        return schema("Number", io.Int.Input("value"), outputs=[io.Int.Output()])

    @classmethod
    def execute(cls, value):
        return io.NodeOutput(value)


class Unknown(Node):
    @classmethod
    def define_schema(cls):
        return schema("Unknown", io.SomethingFromNextYear.Input("new"))

    @classmethod
    def execute(cls, new: io.SomethingFromNextYear.Type):
        return io.NodeOutput(new)


class Toys(ComfyExtension):
    async def get_node_list(self):
        return [Rows, Choice, Same, Float, Number, Unknown]


async def comfy_entrypoint():
    return Toys()
"""


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture
def types(import_pack):
    """The node types of the pack."""
    return import_pack(PACK)


@pytest.fixture
def run(types, host_settings):
    """A function that runs a graph for the first output of a node."""
    engine = Engine(Registry.from_types(*types.values()), host_settings.files())

    def run_graph(target, graph):
        return engine.run(read_prompt(graph), targets=[target]).outputs[target][0]

    return run_graph


def test_a_type_that_nothing_knows_leaves_out_its_node_type_alone(types):
    assert sorted(types) == ["Choice", "Float", "Number", "Rows", "Same"]


def test_a_row_is_a_dict_of_what_is_there(run):
    graph = {
        "a": node("Number", value=7),
        "b": node("Rows", **{"numbers.n0": ["a", 0], "numbers.n2": 5, "named.b": 1}),
    }

    assert run("b", graph) == "[('named', {'b': 1}), ('numbers', {'n0': 7, 'n2': 5})]"
    with pytest.raises(InvalidWorkflowError, match=r"numbers\.n0"):
        run("b", {"b": node("Rows", **{"numbers.n1": 1})})


def test_a_choice_is_a_dict_of_its_key_and_the_inputs_that_it_brings(run):
    by = {"b": node("Choice", how="by", **{"how.factor": 3.0})}
    to = {"b": node("Choice", how="to", **{"how.width": 3, "how.deep": "flat"})}

    assert run("b", by) == "[('how', {'how': 'by', 'factor': 3.0})]"
    assert run("b", to) == "[('how', {'how': 'to', 'width': 3, 'deep': {'deep': 'flat'}})]"
    for wrong in ({"how": "by", "how.factor": 5.0}, {"how": "through"}):
        with pytest.raises(InvalidWorkflowError):
            run("b", {"b": node("Choice", **wrong)})


def test_inputs_of_one_type_give_an_output_of_that_type(run):
    both = {"i": node("Number", value=1), "f": node("Float", value=0.5)}
    same = node("Same", second=False, one=["i", 0], two=["i", 0])

    assert run("s", {**both, "s": same}) == 1
    assert run("r", {**both, "s": same, "r": node("Rows", **{"numbers.n0": ["s", 0]})})
    with pytest.raises(InvalidWorkflowError, match="FLOAT"):
        run("s", {**both, "s": node("Same", second=False, one=["f", 0])})


def test_the_editor_is_told_of_them_in_its_own_words(types, host_settings):
    files = host_settings.files()
    rows, choice, same = (
        object_info(types[name].spec, files) for name in ("Rows", "Choice", "Same")
    )
    inputs: Any = [each["input"] for each in (rows, choice, same)]

    assert inputs[0]["required"]["numbers"][0] == "COMFY_AUTOGROW_V3"
    assert inputs[0]["required"]["numbers"][1]["template"] == {
        "input": {"required": {"number": ["INT", {"default": 3}]}},
        "prefix": "n",
        "min": 1,
        "max": 3,
    }
    kind, options = inputs[1]["required"]["how"]
    assert (kind, options["tooltip"]) == ("COMFY_DYNAMICCOMBO_V3", "Which.")
    assert [option["key"] for option in options["options"]] == ["by", "to"]
    kind, options = inputs[2]["required"]["one"]
    assert (kind, options["lazy"]) == ("COMFY_MATCHTYPE_V3", True)
    assert options["template"] == {"template_id": "kind", "allowed_types": "INT,STRING"}
    assert (same["output_name"], same["output_matchtypes"]) == (["same"], ["kind"])
