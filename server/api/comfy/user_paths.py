"""Finds files of the input, output and temp folders that requests name."""

from pathlib import Path

from aiohttp import web

from nodegraph.errors import UnsafePathError
from nodegraph.files.files import Files
from nodegraph.graph.results import Artifact, FolderType, split_mark

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


def find_file(files: Files, named: Artifact) -> Path:
    """Return the path of a file; a mark in its name (`x.png [output]`) overrides its `type`.

    Raises:
        HTTPBadRequest: its name points outside the folder.
        HTTPForbidden: its subfolder points outside the folder.
        HTTPNotFound: there is no such file.
    """
    name, kind = split_mark(named.filename, named.type)
    if not name:
        raise web.HTTPNotFound(text="404: filename is missing.\n")
    if named.subfolder:
        _resolve(files, Artifact("", named.subfolder, kind), web.HTTPForbidden)
    path = _resolve(files, Artifact(name, named.subfolder, kind), web.HTTPBadRequest)
    if not path.is_file():
        raise web.HTTPNotFound(text=f"404: there is no such file in the {kind} folder.\n")
    return path


def _resolve(files: Files, named: Artifact, refusal: type[web.HTTPError]) -> Path:
    try:
        return files.path(named)
    except UnsafePathError as error:
        raise refusal(text=f"{refusal.status_code}: {error.message}\n") from error
