"""Parse JSON texts; every way in which one can be broken is the same kind of error."""

import json
from collections.abc import Iterable
from typing import NoReturn

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError
from nodegraph.plain import is_list, is_object

DEEPEST = 100
"""The deepest nesting of lists and objects."""
MOST_NODES = 100_000
"""The most nodes of a workflow, once its subgraphs are unfolded."""


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
