"""Remembers packs that failed to load, so that they are not tried again at each start."""

import hashlib
import json
import sys
from contextlib import suppress
from pathlib import Path

from nodegraph.errors import PackError


def refusal_of(path: Path) -> PackError | None:
    """Return the remembered error; None if there is none, or other packages are installed now."""
    try:
        told = json.loads(path.read_bytes())
        if told["surroundings"] != _surroundings():
            return None
        return PackError(told["message"], hint=told["hint"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def remember(path: Path, error: PackError) -> None:
    """Remember why a pack was refused.

    Raises:
        OSError: the file can not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"surroundings": _surroundings(), "message": error.message, "hint": error.hint}
    path.write_text(json.dumps(told), encoding="utf-8")


def _surroundings() -> str:
    """Hash the state of the folders of `sys.path`: installing a package changes one of them.

    It is the same for a command and for a worker, whose paths begin with other folders.
    """
    started_from = {Path.cwd(), Path(sys.executable).parent}
    total = hashlib.sha256(sys.version.encode())
    for place in sorted({Path(place).absolute() for place in sys.path} - started_from):
        with suppress(OSError):
            total.update(f"{place} {place.stat().st_mtime_ns}\n".encode())
    return total.hexdigest()
