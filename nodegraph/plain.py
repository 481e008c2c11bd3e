"""Plain JSON values, and the checks of their types."""

import math
from typing import TypeGuard


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
