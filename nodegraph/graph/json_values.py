"""JSON values: parsed within limits, and the checks of their types."""

import json
import math
from collections.abc import Iterable
from typing import NoReturn, TypeGuard

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError

DEEPEST = 100
"""The deepest nesting of lists and objects."""
MOST_NODES = 100_000
"""The most nodes of a workflow, once its subgraphs are unfolded."""

WRAPPED = "__value__"
"""The key of a wrapped value: `{"__value__": […]}` is a list that is no link."""
TYPE = "__type__"
"""The key beside it of a widget's type, which the editor adds to some values."""


def is_list(value: object) -> TypeGuard[list[object]]:
    """Say if a value is a JSON array."""
    return isinstance(value, list)


def is_object(value: object) -> TypeGuard[dict[str, object]]:
    """Say if a value is a JSON object."""
    return isinstance(value, dict)


def is_plain(value: object) -> bool:
    """Say if a value is JSON at every depth, with finite numbers and clean strings."""
    pending = [value]
    while pending:
        item = pending.pop()
        if is_object(item):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif is_list(item):
            pending.extend(item)
        elif not _is_scalar(item):
            return False
    return True


def is_clean(text: str) -> bool:
    """Say if UTF-8 can carry a text: it has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_scalar(item: object) -> bool:
    if isinstance(item, float):
        return math.isfinite(item)
    if isinstance(item, str):
        return is_clean(item)
    return item is None or (isinstance(item, int) and -(2**63) <= item < 2**64)


def parse_json(data: str | bytes) -> object:
    """Parse a JSON text; numbers that JSON does not have (NaN) are let through.

    Raises:
        InvalidWorkflowError: it is no JSON, nests too deep, or names a key twice.
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique)
    except RecursionError:
        refuse("the JSON nests too deep.")
    except ValueError as error:
        refuse(f"this is no JSON: {error}.")
    check_depth(value)
    return value


def check_depth(value: object) -> None:
    """Refuse JSON that nests deeper than any workflow, before a function recurses into it.

    Raises:
        InvalidWorkflowError: it nests too deep.
    """
    level = [value]
    for _ in range(DEEPEST):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    refuse(f"the JSON nests deeper than {DEEPEST}.")


def refuse(message: str, hint: str = "") -> NoReturn:
    """Raise the error that a text is no workflow.

    Raises:
        InvalidWorkflowError: always.
    """
    raise InvalidWorkflowError([InvalidPromptError(message, hint=hint)]) from None


def _children(item: object) -> Iterable[object]:
    if is_object(item):
        return item.values()
    return item if is_list(item) else ()


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        message = f"the key {twice[:80]!r} occurs twice"
        raise ValueError(message)
    return found
