"""Writes the files of users completely, or fails the request."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from nodegraph.files.atomic import part_in, sweep

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
