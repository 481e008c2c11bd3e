"""Nodes that hold one plain value, to feed several inputs from one place."""

from typing import Annotated

from pydantic import Field

from nodegraph.definition.markers import Widget
from nodegraph.definition.node import node

_MOST = 2**63 - 1


@node("PrimitiveInt", category="utils/primitive", display_name="Int")
def primitive_int(
    value: Annotated[int, Field(ge=-_MOST, le=_MOST), Widget(control_after_generate=True)],
) -> int:
    """Hold a whole number, for all inputs that it is linked to."""
    return value


@node("PrimitiveFloat", category="utils/primitive", display_name="Float")
def primitive_float(value: Annotated[float, Field(ge=-_MOST, le=_MOST)]) -> float:
    """Hold a number, for all inputs that it is linked to."""
    return value


@node("PrimitiveString", category="utils/primitive", display_name="String")
def primitive_string(value: Annotated[str, Widget(multiline=False)]) -> str:
    """Hold a line of text, for all inputs that it is linked to."""
    return value


@node("PrimitiveStringMultiline", category="utils/primitive", display_name="String (Multiline)")
def primitive_string_multiline(value: Annotated[str, Widget(multiline=True)]) -> str:
    """Hold a text of several lines, for all inputs that it is linked to."""
    return value


@node("PrimitiveBoolean", category="utils/primitive", display_name="Boolean")
def primitive_boolean(value: bool) -> bool:
    """Hold true or false, for all inputs that it is linked to."""
    return value
