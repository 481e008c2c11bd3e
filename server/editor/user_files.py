"""The files that users keep here: workflows, and what else the editor puts beside them."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.folders import inside
from server.editor.kept import writing


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file or a folder below another one."""

    path: str
    """Relative to the folder that was asked for."""
    size: int
    modified: int
    """Milliseconds since 1970."""
    created: int
    folder: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The editor's JSON for a file."""
        return {
            "path": self.path,
            "size": self.size,
            "modified": self.modified,
            "created": self.created,
        }


class UserFiles:
    """All of them, below one folder.

    Args:
        root: the folder; it need not be there yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._changing = threading.Lock()

    def find(self, name: str) -> Path | None:
        """The path of a file, if there is one of that name.

        Raises:
            UnsafePathError: the name leads elsewhere.
        """
        path = inside(self._root, name)
        return path if path.is_file() else None

    def about(self, name: str) -> UserFile:
        """A file that is there."""
        return _described(inside(self._root, name), name)

    def files(self, folder: str, *, deep: bool) -> list[UserFile] | None:
        """The visible files of a folder, in order; None if there is no such folder.

        Raises:
            UnsafePathError: the name leads elsewhere.
        """
        place = self._place(folder)
        if not place.is_dir():
            return None
        paths = place.rglob("*") if deep else place.glob("*")
        return [file for file in _visible(place, sorted(paths)) if not file.folder]

    def entries(self, folder: str) -> list[UserFile] | None:
        """The visible files and folders of a folder; None if there is no such folder.

        Raises:
            UnsafePathError: the name leads elsewhere.
        """
        place = self._place(folder)
        return list(_visible(place, sorted(place.glob("*")))) if place.is_dir() else None

    def write(self, name: str, data: bytes, *, overwrite: bool) -> None:
        """Keep a file.

        Raises:
            UnsafePathError: the name leads elsewhere.
            FileExistsError: there is one, and it is not to be overwritten.
        """
        path = inside(self._root, name)
        with writing(path, data) as part, self._changing:
            if path.exists() and not overwrite:
                raise FileExistsError
            part.replace(path)

    def move(self, name: str, to: str, *, overwrite: bool) -> None:
        """Give a file another name.

        Raises:
            UnsafePathError: a name leads elsewhere.
            FileNotFoundError: there is no such file.
            FileExistsError: there is one of the new name, and it is not to be overwritten.
        """
        path, target = inside(self._root, name), inside(self._root, to)
        if not path.is_file():
            raise FileNotFoundError
        target.parent.mkdir(parents=True, exist_ok=True)
        with self._changing:
            if target.exists() and not overwrite:
                raise FileExistsError
            path.replace(target)

    def delete(self, name: str) -> bool:
        """Remove a file; whether there was one.

        Raises:
            UnsafePathError: the name leads elsewhere.
        """
        path = self.find(name)
        if path:
            path.unlink()
        return path is not None

    def _place(self, folder: str) -> Path:
        return inside(self._root, folder) if folder.strip("/.") else self._root


def _visible(place: Path, paths: list[Path]) -> Iterator[UserFile]:
    for path in paths:
        name = path.relative_to(place).as_posix()
        hidden = any(part.startswith(".") for part in name.split("/"))
        if not hidden and (path.is_file() or path.is_dir()):
            yield _described(path, name)


def _described(path: Path, name: str) -> UserFile:
    facts = path.stat()
    modified, created = (int(seconds * 1000) for seconds in (facts.st_mtime, facts.st_ctime))
    return UserFile(name, facts.st_size, modified, created, folder=path.is_dir())
