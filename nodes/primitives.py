"""Nodes that hold one plain value, to feed several inputs from one place."""

from typing import Annotated

from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Widget

_MOST = 2**63 - 1


@node("PrimitiveInt", category="utils/primitive", display_name="Int")
def primitive_int(
    value: Annotated[int, Field(ge=-_MOST, le=_MOST), Widget(control_after_generate=True)],
) -> int:
    """One whole number, for all the inputs it is linked to."""
    return value


@node("PrimitiveFloat", category="utils/primitive", display_name="Float")
def primitive_float(value: Annotated[float, Field(ge=-_MOST, le=_MOST)]) -> float:
    """One number, for all the inputs it is linked to."""
    return value


@node("PrimitiveString", category="utils/primitive", display_name="String")
def primitive_string(value: Annotated[str, Widget(multiline=False)]) -> str:
    """One line of text, for all the inputs it is linked to."""
    return value


@node("PrimitiveStringMultiline", category="utils/primitive", display_name="String (Multiline)")
def primitive_string_multiline(value: Annotated[str, Widget(multiline=True)]) -> str:
    """A text of any number of lines, for all the inputs it is linked to."""
    return value


@node("PrimitiveBoolean", category="utils/primitive", display_name="Boolean")
def primitive_boolean(value: bool) -> bool:
    """True or false, for all the inputs it is linked to."""
    return value
