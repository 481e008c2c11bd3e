"""Finds files of the input, output and temp folders that requests name."""

from pathlib import Path

from aiohttp import web

from nodegraph.errors import ObjectStoreError, UnknownFileError, UnsafePathError
from nodegraph.files.users.folder import StoredFile
from nodegraph.graph.results import Artifact, FolderType, split_mark
from server.web.file_responses import find_stored
from server.web.services import Services

_TYPES: dict[str, FolderType] = {"input": "input", "output": "output", "temp": "temp"}


def folder_type(text: str) -> FolderType:
    """Return the folder that a `type` names.

    Raises:
        HTTPBadRequest: there is no such folder.
    """
    kind = _TYPES.get(text)
    if kind is None:
        raise web.HTTPBadRequest(text=f"400: type is one of {', '.join(_TYPES)}.\n")
    return kind


async def find_file(parts: Services, named: Artifact) -> StoredFile:
    """Return a file; a mark in its name (`x.png [output]`) overrides its `type`.

    Raises:
        HTTPBadRequest: its name points outside the folder.
        HTTPForbidden: its subfolder points outside the folder.
        HTTPNotFound: there is no such file.
        HTTPServiceUnavailable: the object store can not be asked.
    """
    name, kind = split_mark(named.filename, named.type)
    if not name:
        raise web.HTTPNotFound(text="404: filename is missing.\n")
    if named.subfolder:
        _check(parts, Artifact("", named.subfolder, kind))
    found = await _look_up(parts, Artifact(name, named.subfolder, kind))
    if found is None:
        raise web.HTTPNotFound(text=f"404: there is no such file in the {kind} folder.\n")
    return found


async def local_copy(parts: Services, found: StoredFile) -> Path:
    """Return a path to read a file at.

    Raises:
        HTTPNotFound: it is gone.
        HTTPServiceUnavailable: the object store does not hand it out.
    """
    try:
        return await parts.ask_folder(found.local)
    except UnknownFileError as error:
        raise web.HTTPNotFound(text=f"404: {error.message}\n") from error
    except ObjectStoreError as error:
        raise web.HTTPServiceUnavailable(text=f"503: {error.message}\n") from error


def _check(parts: Services, folder: Artifact) -> None:
    try:
        parts.files.users.place(folder)
    except UnsafePathError as error:
        raise web.HTTPForbidden(text=f"403: {error.message}\n") from error


async def _look_up(parts: Services, named: Artifact) -> StoredFile | None:
    try:
        return await find_stored(parts, named)
    except UnsafePathError as error:
        raise web.HTTPBadRequest(text=f"400: {error.message}\n") from error
    except ObjectStoreError as error:
        raise web.HTTPServiceUnavailable(text=f"503: {error.message}\n") from error
