"""A user's folder on a local disk."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from nodegraph.files.atomic import Chunk
from nodegraph.files.file_names import Claim, LastNumbers
from nodegraph.files.folders import inside
from nodegraph.files.users.named import keep
from nodegraph.files.users.numbered import check_writable, save_numbered, save_temporary


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on a local disk."""

    path: Path

    @property
    def name(self) -> str:
        """Its name, without folders."""
        return self.path.name

    def local(self) -> Path:
        """Return its path."""
        return self.path


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """A folder on a local disk; it need not exist yet. See `UserFolder`."""

    root: Path

    def names(self, below: str = "") -> list[str]:
        """Return the names of the files directly in it, or in a folder below; none if hidden."""
        folder = inside(self.root, below) if below else self.root
        if not folder.is_dir():
            return []
        start = f"{below}/" if below else ""
        with os.scandir(folder) as found:
            return [start + each.name for each in found if each.name[0] != "." and each.is_file()]

    def newest_first(self) -> list[str]:
        """Return the names of the files directly in it, the newest first; none if hidden."""
        if not self.root.is_dir():
            return []
        with os.scandir(self.root) as found:
            files = [entry for entry in found if entry.is_file() and entry.name[0] != "."]
        return [entry.name for entry in sorted(files, key=lambda one: -one.stat().st_mtime)]

    def find(self, name: str) -> LocalFile | None:
        """Return the file of that name; None if there is none."""
        path = inside(self.root, name)
        return LocalFile(path) if path.is_file() else None

    def place(self, name: str) -> str:
        """Return the path of a file of that name."""
        return str(inside(self.root, name))

    def save(
        self,
        prefix: str,
        suffix: str,
        data: bytes | Iterable[Chunk],
        last: LastNumbers,  # noqa: ARG002 - the disk knows the numbers
        claim: Claim | None = None,
    ) -> str:
        """Write a new numbered file and return its name."""
        return self._name(save_numbered(self.root, prefix, suffix, data, claim))

    def save_temporary(
        self, prefix: str, suffix: str, data: bytes | Iterable[Chunk], last: LastNumbers
    ) -> str:
        """Write a new numbered file that a power cut may take, and return its name."""
        return self._name(save_temporary(self.root, prefix, suffix, data, last))

    def keep(self, name: str, data: BinaryIO, *, overwrite: bool = False) -> str:
        """Write a file under a given name, or the next free one; return the name."""
        return self._name(keep(self.root, name, data, overwrite=overwrite))

    def check_writable(self) -> None:
        """Check that files can be written."""
        check_writable(self.root)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
