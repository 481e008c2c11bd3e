"""A declaration without meaning is refused where it stands, in words its author can use."""

import pytest

from nodegraph.define import node
from nodegraph.errors import NodeDefinitionError


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
