"""Nodes that choose: one of two values, or one of a list of words."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple, TypeVar

from nodegraph.definition.markers import Choices, Lazy, Name, Optional
from nodegraph.definition.node import node

Switched = TypeVar("Switched")


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
