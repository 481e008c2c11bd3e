"""Save a file under a given name, whole or not at all."""

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from nodegraph.errors import UnsafePathError
from nodegraph.files.atomic import link, part_in, sweep, sync, write_error
from nodegraph.files.folders import inside

_CHUNK = 2**20


def keep(root: Path, name: str, data: BinaryIO, *, overwrite: bool = False) -> Path:
    """Write `data` to `root/name`, or to `name (1)`, … if another file has that name.

    If one of these files has the same bytes already, nothing is written.

    Args:
        root: the folder.
        name: `picture.png`, or `folder/picture.png`; the folder is made if need be.
        data: the whole file; read from its beginning.
        overwrite: replace an existing file of that name.

    Returns:
        The path of the file.

    Raises:
        UnsafePathError: the name leads out of `root`, is hidden, or is a folder's.
        DiskFullError: the disk is full.
        OutputFolderError: the folder can not be written.
    """
    path = _path(root, name)
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with part_in(folder, _chunks(data)) as part:
            if overwrite:
                part.replace(path)
            else:
                path = _link_free_name(part, path)
        sync(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    return path


def _path(root: Path, name: str) -> Path:
    path = inside(root, name)
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if any(part.startswith(".") for part in parts):
        raise UnsafePathError(name, "hidden files are not stored")
    if path.is_dir():
        raise UnsafePathError(name, "a folder has that name")
    return path


def _link_free_name(part: Path, path: Path) -> Path:
    """Give the part the first free name, or return the first file with the same content."""
    contents = _contents(part)
    candidates = _candidates(path)
    while True:
        candidate = next(candidates)
        if candidate.is_file() and _contents(candidate) == contents:
            return candidate
        with suppress(FileExistsError):
            link(part, candidate)
            return candidate


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.stem} ({number}){path.suffix}") for number in count(1))


def _chunks(data: BinaryIO) -> Iterator[bytes]:
    data.seek(0)
    while chunk := data.read(_CHUNK):
        yield chunk


def _contents(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
