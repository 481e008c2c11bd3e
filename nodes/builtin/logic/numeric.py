"""Nodes that make numbers: of formulas, texts, colours, shapes and seeds."""

import math
import re
from collections.abc import Mapping
from string import ascii_lowercase
from types import MappingProxyType
from typing import Annotated, NamedTuple

from pydantic import Field

from nodegraph.definition.markers import Autogrow, Choices, Name, Optional, Step, Widget
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.builtin.inputs import Text
from nodes.builtin.logic.errors import BadColourError, NotANumberError
from nodes.builtin.logic.expressions import evaluate

Formulary = Annotated[object, Socket("FLOAT,INT,BOOLEAN")]
Convertible = Annotated[object, Socket("INT,FLOAT,STRING,BOOLEAN")]
Megapixels = Annotated[float, Field(ge=0.1, le=16.0), Step(0.1)]
Multiple = Annotated[int, Field(ge=8, le=128), Step(4)]

_MEGAPIXEL = 1024 * 1024
_LARGEST_SEED = 2**63 - 1
_LONGEST_NUMBER = 400
_COLOUR = re.compile(r"#([0-9a-fA-F]{6})([0-9a-fA-F]{2})?")
_RATIOS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "1:1 (Square)": (1, 1),
        "2:3 (Portrait Photo)": (2, 3),
        "3:2 (Photo)": (3, 2),
        "3:4 (Portrait Standard)": (3, 4),
        "4:3 (Standard)": (4, 3),
        "9:16 (Portrait Widescreen)": (9, 16),
        "16:9 (Widescreen)": (16, 9),
        "21:9 (Ultrawide)": (21, 9),
    }
)


class Result(NamedTuple):
    """The result of a formula as each kind of number."""

    as_float: Annotated[float, Name("FLOAT")]
    as_int: Annotated[int, Name("INT")]
    as_bool: Annotated[bool, Name("BOOL")]


class Numbers(NamedTuple):
    """A value as each kind of number."""

    as_float: Annotated[float, Name("FLOAT")]
    as_int: Annotated[int, Name("INT")]


class Resolution(NamedTuple):
    """A width and a height in pixels."""

    width: int
    height: int


class Colour(NamedTuple):
    """A colour as a number, as text and as opacity."""

    rgb_int: int
    hex: Annotated[str, Socket("COLOR"), Name("hex")]
    alpha: float


@node("ComfyMathExpression", category="math", display_name="Math Expression")
def comfy_math_expression(
    expression: Annotated[Text, Widget(default="a + b")],
    values: Annotated[dict[str, Formulary], Autogrow(names=tuple(ascii_lowercase))],
) -> Result:
    """Calculate a formula of numbers: `ceil(a / 8) * 8`, `a if a > b else b`, `sum(values)`.

    Its names are the inputs a to z, and `values`, the list of all that are linked. It has the
    operators of Python and the functions sum, min, max, abs, round, pow, sqrt, ceil, floor, log,
    log2, log10, sin, cos, tan, int and float. The result comes as a number, as a whole number with
    the decimals cut off, and as true unless it is 0.
    """
    named = {name: _as_number(value) for name, value in values.items()}
    found = evaluate(expression, {**named, "values": list(named.values())})
    return Result(float(found), int(found), bool(found))


@node("ComfyNumberConvert", category="math", display_name="Convert Number")
def comfy_number_convert(value: Convertible) -> Numbers:
    """Read a number, a text or true and false as a number, and as a whole number.

    Decimals are cut off; true is 1 and false 0.
    """
    found = _read_number(value) if isinstance(value, str) else _as_number(value)
    return Numbers(float(found), int(found))


@node("ResolutionSelector", category="utils", display_name="Resolution Selector")
def resolution_selector(
    aspect_ratio: Annotated[str, Choices(tuple(_RATIOS))] = "1:1 (Square)",
    megapixels: Megapixels = 1.0,
    preview: Annotated[object, Socket("RESOLUTION_PREVIEW"), Optional()] = None,
    multiple: Annotated[Multiple, Optional()] = 8,
) -> Resolution:
    """Return the width and height of an image by its aspect ratio and size.

    A megapixel has 1024 * 1024 pixels. Both sides are rounded to a multiple of `multiple`.
    `preview` is what the editor shows, and changes nothing.
    """
    del preview
    across, down = _RATIOS[aspect_ratio]
    unit = math.sqrt(megapixels * _MEGAPIXEL / (across * down))
    width, height = (max(1, round(unit * side / multiple)) * multiple for side in (across, down))
    return Resolution(width, height)


@node("ColorToRGBInt", category="utils", display_name="Color Picker")
def color_to_rgb_int(
    color: Annotated[str, Socket("COLOR"), Widget(default="#ffffff")],
) -> Colour:
    """Return a colour as the number red * 65536 + green * 256 + blue, and its opacity, 0 to 1.

    It is written #RRGGBB or #RRGGBBAA.
    """
    found = _COLOUR.fullmatch(str(color))
    if found is None:
        raise BadColourError(color)
    alpha = int(found[2], 16) / 255 if found[2] else 1.0
    return Colour(int(found[1], 16), f"#{found[1]}", alpha)


@node("SeedNode", category="utils", display_name="Seed")
def seed_node(
    seed: Annotated[
        int, Field(ge=0, le=_LARGEST_SEED), Widget(control_after_generate="fixed", default=0)
    ],
) -> Annotated[int, Name("seed")]:
    """Hold a seed, for all inputs that it is linked to."""
    return seed


def _as_number(value: object) -> int | float:
    if isinstance(value, int | float) and _is_finite(value):
        return value
    raise NotANumberError(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float is as large as
        return False


def _read_number(text: str) -> int | float:
    stripped = text.strip()
    if len(stripped) <= _LONGEST_NUMBER:
        for kind in (int, float):
            try:
                return _as_number(kind(stripped))
            except ValueError:
                continue
    raise NotANumberError(text)
