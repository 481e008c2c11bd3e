"""Nodes that read and write JSON."""

import json
from typing import Annotated, cast

from pydantic import Field

from nodegraph.definition.markers import Optional, Widget
from nodegraph.definition.node import node
from nodegraph.graph.json_values import is_list, is_object, is_plain
from nodegraph.graph.sockets import Socket
from nodes.builtin.inputs import Text
from nodes.builtin.logic.errors import NotJsonError
from nodes.builtin.text.strings import check_length

Array = Annotated[list[object], Socket("ARRAY")]
"""A list that travels as one value."""
Dictionary = Annotated[dict[str, object], Socket("DICT")]
Indent = Annotated[int, Field(ge=0, le=8), Optional()]

_MOST_READ = 100_000_000
"""Characters that are read in search of an object: each brace may begin one, and an error counts
the lines before it."""


@node("JsonExtractString", category="utils/string", display_name="Extract Text from JSON")
def json_extract_string(json_string: Text, key: Annotated[str, Widget(multiline=False)]) -> str:
    """Return the value of a key in the first JSON object of a text; what stands around is ignored.

    Objects and lists are returned as JSON, other values as text. Without an object, without the
    key or with the value null the result is empty.
    """
    value = _first_object(json_string).get(key)
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False) if _is_nested(value) else str(value)


@node("ConvertArrayToString", category="utils/string", display_name="Convert Array to String")
def convert_array_to_string(array: Array, indent: Indent = 2) -> str:
    """Write a list as JSON, indented by `indent` spaces a level; 0 writes it on one line."""
    return _as_json(array, indent)


@node(
    "ConvertDictionaryToString",
    category="utils/string",
    display_name="Convert Dictionary to String",
)
def convert_dictionary_to_string(dictionary: Dictionary, indent: Indent = 2) -> str:
    """Write a dictionary as JSON, indented by `indent` spaces a level; 0 writes it on one line."""
    return _as_json(dictionary, indent)


def _as_json(value: object, indent: int) -> str:
    if not is_plain(value):
        raise NotJsonError(value)
    text = json.dumps(value, ensure_ascii=False, indent=indent or None)
    check_length(len(text))
    return text


def _first_object(text: str) -> dict[str, object]:
    """Return the first JSON object in a text; an empty one if there is none."""
    decoder = json.JSONDecoder()
    read, start = 0, text.find("{")
    while start >= 0 and read < _MOST_READ:
        try:
            found, _ = decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            read += error.pos + 1
        except RecursionError:
            return {}
        else:
            return cast("dict[str, object]", found)
        start = text.find("{", start + 1)
    return {}


def _is_nested(value: object) -> bool:
    return is_list(value) or is_object(value)
