"""Nodes that join values to a list, and take one out of it."""

from collections.abc import Sequence
from typing import Annotated, TypeVar, cast

from nodegraph.definition.markers import Autogrow, Listed, Name, Widget
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.builtin.logic.errors import NoSuchItemError

Item = TypeVar("Item")


@node("CreateList", category="utils/list", display_name="Create List", input_is_list=True)
def create_list(
    inputs: Annotated[dict[str, Item], Autogrow("input", least=1, most=100)],
) -> Annotated[list[Item], Listed(), Name("list")]:
    """Join values of one type to a list; the nodes that follow run once for each of them.

    An input that is a list itself adds all its values.
    """
    return [value for values in inputs.values() for value in cast("Sequence[Item]", values)]


@node(
    "GetItemFromList", category="utils/list", display_name="Get Item from List", input_is_list=True
)
def get_item_from_list(
    list: Annotated[Sequence[object], Socket("*")],
    index: Annotated[Sequence[int], Socket("INT"), Widget(default=0)],
) -> Annotated[object, Name("OUTPUT")]:
    """Take one value out of a list: 0 is the first, -1 the last."""
    place, count = index[0], len(list)
    if not -count <= place < count:
        raise NoSuchItemError(place, count)
    return list[place]
