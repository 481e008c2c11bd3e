"""A node that shows any value as text."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, cast

from torch import Tensor

from nodegraph.definition.node import node
from nodegraph.errors import short_repr
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Ui

LONGEST = 100_000
"""The most characters that are shown of a value that is no text itself."""
_CUT = " …"
_DEEPEST = 50
"""The deepest nesting that is shown of what is no JSON."""
_BRACKETS: Mapping[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_EMPTY: Mapping[type, str] = {set: "set()", frozenset: "frozenset()"}


@node(
    "PreviewAny",
    category="utils",
    display_name="Preview Any",
    keywords=("source",),
    output_node=True,
    runs_empty=True,
)
def preview_any(**inputs: object) -> str | Ui:
    """Show any value as text.

    Texts are shown unchanged, numbers as Python writes them, lists and dicts as JSON, and what JSON
    has no form for as Python prints it. Images and other tensors, latents, conditionings and models
    are described: shape, range, parts. Of other values at most 100,000 characters are shown. An
    empty list is shown as None.
    """
    text = _text(inputs.get("source"))
    return Ui(values={"text": [text]}, outputs=(text,))


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Tensor):
        return _brief(value)
    if is_dataclass(value) and not isinstance(value, type) and _is_ours(value):
        parts = ((each.name, getattr(value, each.name)) for each in fields(value))
        return "\n".join(
            [type(value).__name__, *(f"{name}: {_brief(part)}" for name, part in parts)]
        )
    if isinstance(value, list | tuple | dict):
        try:
            return _json(cast("object", value))
        except (TypeError, ValueError, RecursionError):  # no JSON
            pass
    return _Printer().text(cast("object", value))


def _is_ours(value: object) -> bool:
    """Return True for the values that travel along links between our own nodes."""
    return type(value).__module__.startswith("nodes.")


def _brief(value: object) -> str:
    """Describe a value in one line."""
    if isinstance(value, Tensor):
        kind = f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        if not value.numel() or value.is_complex():
            return kind
        return f"{kind} from {value.min().item():g} to {value.max().item():g}"
    if is_plain(value):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, tuple | list):
        parts = cast("Sequence[object]", value)
        return f"{len(parts)} of {', '.join(sorted({type(part).__name__ for part in parts}))}"
    return type(value).__name__


def _json(value: object) -> str:
    """Return a value as JSON, up to a length.

    Raises:
        TypeError, ValueError: JSON has no form for it.
        RecursionError: it is nested too deeply.
    """
    text = ""
    for part in json.JSONEncoder(indent=4, ensure_ascii=False).iterencode(value):
        text += part
        if len(text) > LONGEST:
            return text[:LONGEST] + _CUT
    return text


class _Printer:
    """Prints one value as `str` does, without making more text than is shown."""

    def __init__(self) -> None:
        self._room = LONGEST
        self._open: set[int] = set()
        """The containers that are being printed; one of them inside itself is not printed again."""

    def text(self, value: object) -> str:
        """Return the text of a value."""
        parts = self._parts(value) if type(value) in _BRACKETS else [_print_safely(str, value)]
        text = "".join(parts)
        whole = self._room > 0 and len(text) <= LONGEST
        return text if whole else text[:LONGEST] + _CUT

    def _parts(self, value: object) -> Iterable[str]:
        kind = type(value)
        if kind not in _BRACKETS:
            yield self._cut(_print_safely(repr, value))
            return
        first, last = _BRACKETS[kind]
        items = cast("Sequence[object]", value)
        if not items and kind in _EMPTY:
            yield _EMPTY[kind]
        elif id(value) in self._open or len(self._open) >= _DEEPEST:
            yield f"{first}...{last}"
        else:
            self._open.add(id(value))
            yield first
            yield from self._items(value)
            yield ",)" if kind is tuple and len(items) == 1 else last
            self._open.discard(id(value))

    def _items(self, value: object) -> Iterable[str]:
        pairs = cast("dict[object, object]", value).items() if isinstance(value, dict) else None
        for place, item in enumerate(pairs or cast("Iterable[Any]", value)):
            if self._room <= 0:
                return
            if place:
                yield self._cut(", ")
            if pairs:
                yield from self._parts(item[0])
                yield ": "
            yield from self._parts(item[1] if pairs else item)

    def _cut(self, text: str) -> str:
        """Return as much of a text as there is room for, and take the room."""
        shown = text[: max(self._room, 0)]
        self._room -= len(text)
        return shown


def _print_safely(show: Callable[[object], str], value: object) -> str:
    """Return what `str` or `repr` makes of a value of any class, or the name of the class."""
    if isinstance(value, str | bytes | bytearray) and len(value) > LONGEST:
        value = value[:LONGEST]
    kind = type(value)
    if (kind.__str__, kind.__repr__) == (object.__str__, object.__repr__):
        return kind.__name__  # without the address, which tells nobody anything
    try:
        return show(value)
    except Exception:  # noqa: BLE001 - foreign code: any class may be shown
        return short_repr(value) if isinstance(value, int) else type(value).__name__
