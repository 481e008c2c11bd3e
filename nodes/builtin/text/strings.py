"""Nodes that split, join and compare texts."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from nodegraph.definition.markers import Name, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import Text
from nodes.builtin.text.errors import TooLongTextError

Case = Literal["UPPERCASE", "lowercase", "Capitalize", "Title Case"]

LONGEST = 10_000_000
"""Characters that a text may have: nodes in a row could double it without end."""

_CASES: Mapping[Case, Callable[[str], str]] = MappingProxyType(
    {
        "UPPERCASE": str.upper,
        "lowercase": str.lower,
        "Capitalize": str.capitalize,
        "Title Case": str.title,
    }
)


def check_length(length: int) -> None:
    """Raise an error if a text would be too long.

    Raises:
        TooLongTextError: it is longer than `LONGEST`.
    """
    if length > LONGEST:
        raise TooLongTextError(length, LONGEST)


@node("StringConcatenate", category="utils/string", display_name="Concatenate")
def string_concatenate(
    string_a: Text, string_b: Text, delimiter: Annotated[str, Widget(multiline=False)] = ""
) -> str:
    """Join `string_a`, the delimiter and `string_b`."""
    check_length(len(string_a) + len(delimiter) + len(string_b))
    return f"{string_a}{delimiter}{string_b}"


@node("StringSubstring", category="utils/string", display_name="Substring")
def string_substring(string: Text, start: int, end: int) -> str:
    """Take the characters from `start`, counted from 0, up to but not including `end`.

    Negative numbers count from the text's end; positions beyond the text are ignored.
    """
    return string[start:end]


@node("StringLength", category="utils/string", display_name="Length")
def string_length(string: Text) -> Annotated[int, Name("length")]:
    """Count the characters of a text."""
    return len(string)


@node("CaseConverter", category="utils/string", display_name="Case Converter")
def case_converter(string: Text, mode: Case) -> str:
    """Change the case of a text: upper, lower, capitalized, or title case."""
    return _CASES[mode](string)


@node("StringTrim", category="utils/string", display_name="Trim")
def string_trim(string: Text, mode: Literal["Both", "Left", "Right"]) -> str:
    """Remove spaces and line ends from the ends of a text."""
    if mode == "Both":
        return string.strip()
    return string.lstrip() if mode == "Left" else string.rstrip()


@node("StringReplace", category="utils/string", display_name="Replace")
def string_replace(string: Text, find: Text, replace: Text) -> str:
    """Replace all occurrences of a text; an empty `find` matches between all characters."""
    check_length(len(string) + string.count(find) * (len(replace) - len(find)))
    return string.replace(find, replace)


@node("StringContains", category="utils/string", display_name="Contains")
def string_contains(
    string: Text, substring: Text, case_sensitive: bool = True
) -> Annotated[bool, Name("contains")]:
    """Test if a text contains another."""
    if case_sensitive:
        return substring in string
    return substring.lower() in string.lower()


@node("StringCompare", category="utils/string", display_name="Compare")
def string_compare(
    string_a: Text,
    string_b: Text,
    mode: Literal["Starts With", "Ends With", "Equal"],
    case_sensitive: bool = True,
) -> bool:
    """Test if `string_a` starts with, ends with or equals `string_b`."""
    a, b = (string_a, string_b) if case_sensitive else (string_a.lower(), string_b.lower())
    if mode == "Equal":
        return a == b
    return a.startswith(b) if mode == "Starts With" else a.endswith(b)
