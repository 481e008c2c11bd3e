"""Atomic writes: hidden part files, named once they are whole, swept up if the writer died."""

import errno
import os
import re
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeAlias

from nodegraph.errors import DiskFullError, NodeGraphError, OutputFolderError

Chunk: TypeAlias = bytes | memoryview
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_NAME = re.compile(r"\.[0-9a-f]{16}\.part")


@contextmanager
def part_in(folder: Path, data: bytes | Iterable[Chunk], *, synced: bool = True) -> Generator[Path]:
    """Write `data` to a hidden file that is deleted after the block.

    It is locked before its first byte is written; one without a lock is a killed writer's.

    Args:
        folder: the folder of the file.
        data: the whole file, or its chunks.
        synced: True to sync it to disk, so that it survives a power cut.

    Raises:
        OSError: it can not be written.
    """
    part = folder / f".{os.urandom(8).hex()}.part"
    try:
        with part.open("xb") as file:
            _lock(file)
            for chunk in [data] if isinstance(data, bytes) else data:
                file.write(chunk)
            file.flush()
            if synced:
                os.fsync(file.fileno())
            yield part
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the parts of writers that were killed: their locks are gone.

    Where there are no locks (Windows, some network drives), all parts stay.
    """
    for name in os.listdir(folder):  # noqa: PTH208 - a Path for each of many files is slow
        if _NAME.fullmatch(name):
            _remove_if_left(folder / name)


def link(part: Path, path: Path) -> None:
    """Give the part a second name, `path`.

    Raises:
        FileExistsError: something has that name.
        OSError: it can not be written.
    """
    try:
        path.hardlink_to(part)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: claim the name first, then replace the claim.
        path.open("xb").close()
        try:
            part.replace(path)
        except BaseException:  # re-raised; the claimed name must not stay
            path.unlink()
            raise


def sync(folder: Path) -> None:
    """Sync the folder to disk, so that new names in it survive a power cut."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_error(folder: Path, error: OSError) -> NodeGraphError:
    """Turn an `OSError` from writing in a folder into our own error."""
    reason = error.strerror or str(error)
    kind = DiskFullError if error.errno in _FULL else OutputFolderError
    return kind(folder, reason)


def _remove_if_left(part: Path) -> None:
    """Remove a part without a lock, but not an empty one, which may be about to be locked."""
    with suppress(OSError), part.open("r+b") as file:
        if os.fstat(file.fileno()).st_size and _lock(file):
            part.unlink()


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or the process ends; return False if that fails."""
    if sys.platform == "win32":
        return False
    import fcntl  # Here: Windows has none.

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
