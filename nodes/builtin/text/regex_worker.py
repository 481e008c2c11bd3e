"""A program that does one regular-expression search: a process can be stopped, a search not.

Reads a request as JSON from standard input and writes the answer to standard output; imports
the standard library only, so that it starts at once.
"""

import json
import re
import sys
from typing import Any

MEMORY = 2**30
"""Bytes that it may use, where the system can limit them."""


def answer(request: dict[str, Any]) -> dict[str, object]:
    """Return the result: `{"found": …}`, `{"error": why}` or `{"too_long": characters}`."""
    try:
        pattern = re.compile(request["pattern"], request["flags"])
        found = _TASKS[request["task"]](pattern, request)
    except (re.error, OverflowError, RecursionError, IndexError) as error:
        return {"error": str(error)}
    except MemoryError:
        return {"error": "it needs too much memory"}
    if isinstance(found, str) and len(found) > request["longest"]:
        return {"too_long": len(found)}
    return {"found": found}


def _search(pattern: re.Pattern[str], request: dict[str, Any]) -> bool:
    return pattern.search(request["text"]) is not None


def _extract(pattern: re.Pattern[str], request: dict[str, Any]) -> str:
    """Return group `group` of every match, or of the first, one per line.

    Without a `group` it is the first one; empty where it took no part in a match.
    """
    group = request["group"]
    whole = group is None
    group = min(1, pattern.groups) if whole else group
    if group > pattern.groups:
        return ""
    found: list[str] = []
    for match in pattern.finditer(request["text"]):
        text = match.group(group)
        if text is not None or whole:
            found.append(text or "")
        if request["first"]:
            break
    return "\n".join(found)


def _replace(pattern: re.Pattern[str], request: dict[str, Any]) -> str:
    return pattern.sub(request["template"], request["text"], count=request["count"])


_TASKS = {"search": _search, "extract": _extract, "replace": _replace}


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # not a Unix
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    _limit_memory()
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
