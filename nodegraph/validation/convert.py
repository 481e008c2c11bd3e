"""Literals of a workflow file to the types that inputs declare: without loss, or not at all."""

import math
import re
from collections.abc import Callable
from typing import Final, TypeAlias

from nodegraph.graph.json_values import is_clean

SMALLEST_INT = -(2**63)
LARGEST_INT = 2**64 - 1
_WHOLE = re.compile(r"[+-]?\d{1,20}(\.0*)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Refused:
    """The one value that says: this cannot be converted without loss."""


REFUSED: Final = Refused()
Converter: TypeAlias = Callable[[object], object]


def to_int(value: object) -> int | Refused:
    """64, 64.0 and "64" are integers; 64.9 and true are not, nor what needs over 64 bits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    elif isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value.strip().partition(".")[0])
    if isinstance(value, bool) or not isinstance(value, int):
        return REFUSED
    return value if SMALLEST_INT <= value <= LARGEST_INT else REFUSED


def to_float(value: object) -> float | Refused:
    """0.5, 1 and "0.5" are numbers; NaN, Infinity and true are not."""
    if isinstance(value, str) and len(value) < 400 and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) <= LARGEST_INT and float(value) == value else REFUSED
    return value if isinstance(value, float) and math.isfinite(value) else REFUSED


_WORDS: Final[dict[str, bool]] = {"true": True, "false": False, "enable": True, "disable": False}


def to_bool(value: object) -> bool | Refused:
    """True and false, also as the numbers 1 and 0, or as words.

    The words are "true", "false", and "enable" and "disable", which were choices of packs' nodes
    before these had inputs of true and false.
    """
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _WORDS.get(value.strip().lower(), REFUSED)
    return bool(value) if isinstance(value, int | float) and value in (0, 1) else REFUSED


def to_text(value: object) -> str | Refused:
    """A string that UTF-8 can carry, or a number as the string that spells it."""
    if isinstance(value, str):
        return value if is_clean(value) else REFUSED
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else REFUSED
    whole = to_int(value)
    return REFUSED if isinstance(whole, Refused) else str(whole)


CONVERTERS: Final[dict[str, tuple[type, Converter]]] = {
    "INT": (int, to_int),
    "FLOAT": (float, to_float),
    "BOOLEAN": (bool, to_bool),
    "STRING": (str, to_text),
}
"""The sockets that take literals: the type that needs no conversion, and the conversion."""
