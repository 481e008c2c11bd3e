"""Files that users keep here are written whole, or the request fails."""

import errno
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from aiohttp import web

from nodegraph.parts import part_in, sweep

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path, data: bytes) -> Generator[Path]:
    """A file beside `path` with `data` in it, safe on the disk, to be given that name.

    Raises:
        FileExistsError, IsADirectoryError, NotADirectoryError: the name is in the way of another.
        HTTPInsufficientStorage: there is no room.
        HTTPServiceUnavailable: the folder can not be written.
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
        raise web.HTTPServiceUnavailable(text=f"503: it was not kept: {reason}\n") from error
