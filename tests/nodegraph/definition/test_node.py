"""A declaration without meaning is refused where it stands, in words its author can use."""

from typing import Annotated

import pytest

from nodegraph.definition.markers import Numbered
from nodegraph.definition.node import node
from nodegraph.errors import NodeDefinitionError
from nodegraph.execution.engine import Engine
from nodegraph.packs.registry import Registry
from tests.toys import files_in, graph_of


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(NodeDefinitionError, match="no 'output_nod' to declare") as caught:
        node("Bad", category="test", output_nod=True)  # pyright: ignore[reportCallIssue]

    assert "'output_node'" in caught.value.hint


def test_caching_has_a_closed_list_of_kinds():
    with pytest.raises(NodeDefinitionError, match="cache is 'nver'") as caught:
        node("Bad", category="test", cache="nver")  # pyright: ignore[reportArgumentType]

    assert caught.value.hint == "It is one of content, never."


def test_a_default_has_to_be_json():
    def bad(size: object = {1}) -> object:
        return size

    with pytest.raises(
        NodeDefinitionError, match=r"the default of 'size' is \{1\}, which is no JSON"
    ):
        node("Bad", category="test")(bad)


def test_an_annotation_has_to_be_a_socket_type():
    def bad(size: bytes) -> int:
        return len(size)

    with pytest.raises(NodeDefinitionError, match=r"'size' is annotated .*bytes"):
        node("Bad", category="test")(bad)


def test_numbered_inputs_stand_for_as_many_as_are_linked(tmp_path):
    @node("Join", category="test")
    def join(between: str, **texts: Annotated[str, Numbered("text", 1, 3)]) -> str:
        return between.join(texts[name] for name in sorted(texts))

    engine = Engine(Registry.from_types(join), files_in(tmp_path))
    graph = graph_of(a=("Join", {"between": "-", "text1": "x", "text3": "z"}))

    assert [(item.name, item.required) for item in join.spec.inputs] == [
        ("between", True),
        ("text1", True),
        ("text2", False),
        ("text3", False),
    ]
    assert engine.run(graph, targets=["a"]).outputs["a"] == ("x-z",)
    lacking = engine.check(graph_of(a=("Join", {"between": "-"})), ["a"])
    assert [problem.input_name for problem in lacking.problems] == ["text1"]


@pytest.mark.parametrize(
    "numbered", [Numbered("a", 2, 1), Numbered("a", -1, 1), Numbered("a", 0, 0)]
)
def test_numbers_have_to_count(numbered):
    def bad(**more: Annotated[int, numbered]) -> int:
        return len(more)

    with pytest.raises(NodeDefinitionError, match="least to its most"):
        node("Bad", category="test")(bad)
