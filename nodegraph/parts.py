"""Hidden files that get their names once they are whole, and what killed writers left of them."""

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
def part_in(folder: Path, data: bytes | Iterable[Chunk]) -> Generator[Path]:
    """A hidden file with `data` in it, safe on the disk; it is gone after the block.

    It is locked from before its first byte on, which tells it from one whose writer was killed.

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
            os.fsync(file.fileno())
            yield part
    finally:
        part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove the parts whose writers were killed: the system took their locks away.

    Where there are no locks (Windows, some network drives) all of them stay.
    """
    for name in os.listdir(folder):  # noqa: PTH208 - a Path for each of many files is slow
        if _NAME.fullmatch(name):
            _remove_if_left(folder / name)


def link(part: Path, path: Path) -> None:
    """Name the part `path` too.

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
        except BaseException:  # whatever it is, it goes on; the claim must not stay
            path.unlink()
            raise


def sync(folder: Path) -> None:
    """Make a new name in the folder outlast a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def explained(folder: Path, error: OSError) -> NodeGraphError:
    """What a system's error says about writing in a folder."""
    reason = error.strerror or str(error)
    kind = DiskFullError if error.errno in _FULL else OutputFolderError
    return kind(folder, reason)


def _remove_if_left(part: Path) -> None:
    """Remove a part that nobody locks; an empty one may be about to be locked."""
    with suppress(OSError), part.open("r+b") as file:
        if os.fstat(file.fileno()).st_size and _lock(file):
            part.unlink()


def _lock(file: BinaryIO) -> bool:
    """Lock a file until it is closed or the process ends; whether that worked."""
    if sys.platform == "win32":
        return False
    import fcntl  # Here: Windows has none.

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
