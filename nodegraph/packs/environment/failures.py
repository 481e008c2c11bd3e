"""Failures of packs to load: handed from one process to another, and remembered."""

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nodegraph.errors import PackError


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a pack's import, as the process that tried it reports it."""

    reason: str
    """The error in words; empty if a missing package says it all."""
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """The modules that it imports and Python does not find, each with the line that does so."""

    def as_text(self) -> str:
        """Return the failure as JSON."""
        return json.dumps({"failure": asdict(self)})


def failure_in(text: bytes) -> Failure | None:
    """Read a failure's JSON; None if the text is something else."""
    try:
        told: Any = json.loads(text)["failure"]
        missing = {str(name): str(place) for name, place in told["missing"].items()}
        return Failure(str(told["reason"]), missing)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def refusal_of(path: Path) -> PackError | None:
    """Return the remembered error; None if there is none, or other packages are installed now."""
    try:
        told = json.loads(path.read_bytes())
        if told["surroundings"] != _surroundings():
            return None
        return PackError(told["message"], hint=told["hint"], details=told["details"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def remember(path: Path, error: PackError) -> None:
    """Remember why a pack was refused.

    Raises:
        OSError: the file can not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        "surroundings": _surroundings(),
        "message": error.message,
        "hint": error.hint,
        "details": dict(error.details),
    }
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
