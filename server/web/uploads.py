"""Uploads: files from clients, written to disk as they arrive, never held in memory whole."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from nodegraph.files.atomic import part_in, sweep, write_error
from server.web.services import services

_CHUNK = 2**18
_MOST_PARTS = 20
_LONGEST_FIELD = 2**16


@dataclass(frozen=True, slots=True)
class Upload:
    """A file from a form, and the other fields of the form."""

    name: str
    """The client's name for the file; not to be trusted."""
    path: Path
    """The temporary file."""
    fields: Mapping[str, str]
    """The other fields of the form, by name."""


@asynccontextmanager
async def receive_upload(request: web.Request, field: str, folder: Path) -> AsyncGenerator[Upload]:
    """Receive the file of a form as a temporary file, which is deleted after the block.

    Args:
        request: carries a `multipart/form-data` form.
        field: the name of the file's field.
        folder: the folder for the temporary file; created if need be.

    Raises:
        HTTPBadRequest: the body is not such a form, or has no such file.
        HTTPRequestEntityTooLarge: the file is larger than the server accepts.
        DiskFullError: the disk is full.
        OutputFolderError: the folder cannot be written.
    """
    if request.content_type != "multipart/form-data":
        raise web.HTTPBadRequest(text="400: send the file as multipart/form-data.\n")
    if (request.content_length or 0) > _most(request):
        raise _too_large(request)
    try:
        await asyncio.to_thread(_prepare, folder)
        with part_in(folder, b"") as path:
            with path.open("r+b") as file:
                name, fields = await _read(request, field, file)
            yield Upload(name, path, fields)
    except OSError as error:
        raise write_error(folder, error) from error


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)


async def _read(request: web.Request, wanted: str, file: IO[bytes]) -> tuple[str, dict[str, str]]:
    name, fields = None, dict[str, str]()
    left = _most(request)
    try:
        async for part in _parts(request):
            if part.name == wanted and part.filename and name is None:
                name = part.filename
                left -= await _spool(part, file, left)
            elif part.name and not part.filename:
                text = await _text(part)
                fields[part.name] = text
                left -= len(text)
            if left < 0:
                raise _too_large(request)
    except (ValueError, HttpProcessingError) as error:
        raise web.HTTPBadRequest(text="400: the form is malformed.\n") from error
    if name is None:
        raise web.HTTPBadRequest(text=f"400: there is no file; send it in the field {wanted!r}.\n")
    return name, fields


async def _parts(request: web.Request) -> AsyncIterator[BodyPartReader]:
    reader = await request.multipart()
    for _ in range(_MOST_PARTS):
        part = await reader.next()
        if part is None:
            return
        if isinstance(part, BodyPartReader):
            yield part
    raise web.HTTPBadRequest(text=f"400: a form has at most {_MOST_PARTS} parts.\n")


async def _spool(part: BodyPartReader, file: IO[bytes], most: int) -> int:
    """Write a part to the file and return its size; stop when it is larger than `most`."""
    size = 0
    while size <= most and (chunk := await part.read_chunk(_CHUNK)):
        size += len(chunk)
        await asyncio.to_thread(file.write, chunk)
    return size


async def _text(part: BodyPartReader) -> str:
    data = bytearray()
    while chunk := await part.read_chunk():
        data += chunk
        if len(data) > _LONGEST_FIELD:
            message = f"400: the field {part.name!r} is too long.\n"
            raise web.HTTPBadRequest(text=message)
    return data.decode()


def _most(request: web.Request) -> int:
    return services(request).settings.server.max_upload


def _too_large(request: web.Request) -> web.HTTPRequestEntityTooLarge:
    most = _most(request)
    return web.HTTPRequestEntityTooLarge(
        most, request.content_length or most + 1, text=f"413: at most {most} bytes are accepted.\n"
    )
