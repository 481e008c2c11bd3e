"""The files of users, such as workflows: each is written whole or not at all."""

import errno
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from nodegraph.files.atomic import part_in, sweep
from nodegraph.files.folders import inside


@dataclass(frozen=True, slots=True)
class UserFile:
    """A file or a folder of a user."""

    path: str
    """The path relative to the folder that is listed."""
    size: int
    modified: int
    """Milliseconds since 1970."""
    created: int
    folder: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the editor's JSON for a file."""
        return {
            "path": self.path,
            "size": self.size,
            "modified": self.modified,
            "created": self.created,
        }


class UserFiles:
    """The files of one user, below one folder.

    Args:
        root: the folder, which may not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._changing = threading.Lock()

    def find(self, name: str) -> Path | None:
        """Return the path of a file; None if there is none of that name.

        Raises:
            UnsafePathError: the name points outside the folder.
        """
        path = inside(self._root, name)
        return path if path.is_file() else None

    def about(self, name: str) -> UserFile:
        """Return the facts about an existing file."""
        return _describe(inside(self._root, name), name)

    def files(self, folder: str, *, deep: bool) -> list[UserFile] | None:
        """Return the visible files of a folder, in order; None if there is no such folder.

        Raises:
            UnsafePathError: the name points outside the folder.
        """
        place = self._place(folder)
        if not place.is_dir():
            return None
        paths = place.rglob("*") if deep else place.glob("*")
        return [file for file in _visible(place, sorted(paths)) if not file.folder]

    def entries(self, folder: str) -> list[UserFile] | None:
        """Return the visible files and folders of a folder; None if there is no such folder.

        Raises:
            UnsafePathError: the name points outside the folder.
        """
        place = self._place(folder)
        return list(_visible(place, sorted(place.glob("*")))) if place.is_dir() else None

    def write(self, name: str, data: bytes, *, overwrite: bool) -> None:
        """Write a file.

        Raises:
            UnsafePathError: the name points outside the folder.
            FileExistsError: it exists, and `overwrite` is False.
        """
        path = inside(self._root, name)
        with staged_file(path, data) as part, self._changing:
            if path.exists() and not overwrite:
                raise FileExistsError
            part.replace(path)

    def move(self, name: str, to: str, *, overwrite: bool) -> None:
        """Rename a file.

        Raises:
            UnsafePathError: a name points outside the folder.
            FileNotFoundError: there is no such file.
            FileExistsError: the new name is taken, and `overwrite` is False.
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
        """Delete a file; return False if there is none.

        Raises:
            UnsafePathError: the name points outside the folder.
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
            yield _describe(path, name)


def _describe(path: Path, name: str) -> UserFile:
    facts = path.stat()
    modified, created = (int(seconds * 1000) for seconds in (facts.st_mtime, facts.st_ctime))
    return UserFile(name, facts.st_size, modified, created, folder=path.is_dir())


_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def staged_file(path: Path, data: bytes) -> Generator[Path]:
    """Write `data` to a temporary file beside `path`, for the caller to rename.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: the name conflicts with another.
        HTTPInsufficientStorage: the disk is full.
        HTTPServiceUnavailable: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with part_in(path.parent, data) as part:
            yield part
    except (FileExistsError, IsADirectoryError, NotADirectoryError):
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno in _FULL:
            raise web.HTTPInsufficientStorage(text=f"507: {reason}\n") from error
        raise web.HTTPServiceUnavailable(text=f"503: the file was not saved: {reason}\n") from error
