"""The lock file: the commit and the files of each reference."""

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from filelock import FileLock

from nodegraph.errors import SettingsError
from nodegraph.files.references import HubReference, is_commit, is_sha256, read_reference


@dataclass(frozen=True, slots=True)
class Pin:
    """The commit, path and files that a reference means."""

    commit: str
    path: str
    """A file, or a folder; empty is the whole repository."""
    files: Mapping[str, str] = field(default_factory=dict[str, str])
    """The sha256 of each needed file; an empty text where the hub gives none."""
    licence: str = ""

    @property
    def is_file(self) -> bool:
        """True if it is one file, not a folder."""
        return self.path in self.files


class Lock:
    """The lock file, which many threads and processes may read and write.

    Args:
        path: the file; created when the first reference is used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def get(self, reference: HubReference) -> Pin | None:
        """Return a reference's pin, if it has one.

        Raises:
            SettingsError: the file is damaged.
        """
        found = self._read().get(str(reference))
        return _pin(found, self.path) if found is not None else None

    def references(self) -> list[HubReference]:
        """Return every reference in the file.

        Raises:
            SettingsError: the file is damaged.
            BadReferenceError: a reference in it is malformed.
        """
        return [read_reference(text) for text in sorted(self._read())]

    def put(self, reference: HubReference, pin: Pin) -> None:
        """Store a reference's pin.

        Raises:
            SettingsError: the file is damaged.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_name(f".{self.path.name}.guard")):
            entries = self._read()
            if entries.get(str(reference)) != asdict(pin):
                entries[str(reference)] = asdict(pin)
                _write(self.path, json.dumps(entries, indent=2, sort_keys=True) + "\n")

    def _read(self) -> dict[str, object]:
        try:
            entries: object = json.loads(self.path.read_text(encoding="utf-8") or "{}")
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            raise _damage_error(self.path) from error
        if not isinstance(entries, dict):
            raise _damage_error(self.path)
        return cast("dict[str, object]", entries)


def _pin(entry: object, path: Path) -> Pin:
    """Check an entry and return its pin; its paths could be from anybody."""
    if not isinstance(entry, dict):
        raise _damage_error(path)
    fields = cast("dict[str, Any]", entry)
    commit, place, licence = (str(fields.get(key, "")) for key in ("commit", "path", "licence"))
    files: object = fields.get("files", {})
    if not is_commit(commit) or not isinstance(files, dict):
        raise _damage_error(path)
    hashes = {str(name): str(sha) for name, sha in cast("dict[object, object]", files).items()}
    if not all(is_plain(name) for name in (*hashes, place or "x")):
        raise _damage_error(path)
    if not all(is_sha256(sha) for sha in hashes.values() if sha):
        raise _damage_error(path)
    return Pin(commit, place, hashes, licence)


def is_plain(name: str) -> bool:
    """Return True for a plain relative path that stays below the repository."""
    parts = name.split("/")
    odd = any(character in name for character in "\\:\0") or not name.isprintable()
    plain = all(part not in ("", ".", "..") for part in parts)
    return plain and not odd and not PurePosixPath(name).is_absolute()


def _write(path: Path, text: str) -> None:
    """Write the file atomically."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        unfinished = Path(folder) / path.name
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)


def _damage_error(path: Path) -> SettingsError:
    return SettingsError(
        f"the lock file {path} is damaged.", hint="Repair it, or remove it: it is created anew."
    )
