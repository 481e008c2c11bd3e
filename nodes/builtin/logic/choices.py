"""Nodes that choose: one of two values, of a list of words, of a list of values that was joined."""

from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple, TypeVar, cast

from nodegraph.definition.markers import Autogrow, Choices, Lazy, Listed, Name, Optional, Widget
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.builtin.logic.errors import NoSuchItemError

Switched = TypeVar("Switched")
Item = TypeVar("Item")


class Chosen(NamedTuple):
    """A word of a list, and its place there."""

    text: Annotated[str, Name("STRING")]
    place: Annotated[int, Name("INDEX")]


def _needs(inputs: Mapping[str, object]) -> list[str]:
    return ["on_true" if inputs.get("switch") else "on_false"]


@node("ComfySwitchNode", category="logic", display_name="If/Else Switch", needs=_needs)
def comfy_switch_node(
    switch: bool,
    on_false: Annotated[Switched | None, Lazy()] = None,
    on_true: Annotated[Switched | None, Lazy()] = None,
) -> Annotated[Switched | None, Name("output")]:
    """Pass on one of two values of the same type; the other is not computed.

    If nothing is linked to the one that is chosen, the output has no value, as if the inputs it
    is linked to were not linked.
    """
    return on_true if switch else on_false


@node("CustomCombo", category="utils", display_name="Custom Combo", experimental=True)
def custom_combo(
    choice: Annotated[str, Choices((), closed=False)],
    index: Annotated[int, Optional()] = 0,
) -> Chosen:
    """Choose a word of a list of one's own, which is written in the editor."""
    return Chosen(str(choice), index)


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
