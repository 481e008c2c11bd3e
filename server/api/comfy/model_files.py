"""Files of the model folders: names, dates, sizes, headers and preview images."""

import asyncio
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.folders import FORMER_NAMES, MODEL_FOLDERS, model_files, relative
from nodegraph.graph.json_values import is_object, parse_json
from server.errors import UnreadablePictureError
from server.web.request_bodies import parse_number
from server.web.services import Services, services

_PICTURES = (".webp", ".preview.png", ".png", ".jpg", ".jpeg")
_LARGEST_HEADER = 100 * 2**20
_QUALITY = 80
_LENGTH = struct.Struct("<Q")


async def get_embeddings(request: web.Request) -> web.Response:
    """Reply with the names of embeddings, as prompts use them."""
    parts = services(request)
    names = await parts.ask_folder(parts.files.model_names, "embeddings")
    return web.json_response([str(Path(name).with_suffix("")) for name in names])


async def get_folders(request: web.Request) -> web.Response:
    """Reply with the names of the model folders."""
    return web.json_response(_folders(services(request)))


async def get_names(request: web.Request) -> web.Response:
    """Reply with the names of the files of a folder."""
    parts, folder = services(request), _folder(request)
    return web.json_response(await parts.ask_folder(parts.files.model_names, folder))


async def get_places(request: web.Request) -> web.Response:
    """Reply with each model folder and its directories."""
    parts = services(request)
    names = [name for name in _folders(parts) if name != "configs"]
    return web.json_response(
        [{"name": name, "folders": _places(parts.files, name)} for name in names]
    )


async def get_listing(request: web.Request) -> web.Response:
    """Reply with the files of a folder, their dates and sizes."""
    parts, folder = services(request), _folder(request)
    return web.json_response(await parts.ask_folder(lambda: list(_listing(parts.files, folder))))


async def get_preview(request: web.Request) -> web.Response:
    """Reply with the image beside a model file, as a small WebP file."""
    parts, folder = services(request), _folder(request)
    places = parts.files.folders.of_model(folder)
    number = parse_number(request.match_info["index"])
    if number is None or number >= len(places):
        raise web.HTTPNotFound
    path = _below(places[number], request.match_info["file"])
    for suffix in _PICTURES:
        picture = path.with_suffix(suffix)
        if picture.is_file():
            try:
                data = await parts.pictures.preview(picture, "webp", _QUALITY, "rgba")
            except UnreadablePictureError as error:
                raise web.HTTPNotFound(text=f"404: {error.message}\n") from error
            return web.Response(body=data, content_type="image/webp")
    raise web.HTTPNotFound


async def get_metadata(request: web.Request) -> web.Response:
    """Reply with the metadata in the header of a safetensors file: `?filename=`."""
    parts, folder = services(request), _folder(request)
    name = request.query.get("filename", "")
    if not name.endswith((".safetensors", ".sft")):
        raise web.HTTPNotFound
    try:
        path = parts.files.models.source(folder, name)
    except NodeGraphError as error:
        raise web.HTTPNotFound(text=f"404: {error}\n") from error
    found = await asyncio.to_thread(_metadata, path)
    if found is None:
        raise web.HTTPNotFound
    return web.json_response(found)


async def get_folder_paths(request: web.Request) -> web.Response:
    """Reply with the directories of every model folder."""
    parts = services(request)
    return web.json_response({name: _places(parts.files, name) for name in _folders(parts)})


def _folders(parts: Services) -> list[str]:
    return list(dict.fromkeys((*MODEL_FOLDERS, *parts.files.folders.more_models)))


def _folder(request: web.Request) -> str:
    """Return the model folder that a path names; 404 if there is none."""
    folder = request.match_info["folder"]
    if folder not in (*_folders(services(request)), *FORMER_NAMES):
        raise web.HTTPNotFound
    return folder


def _places(files: Files, folder: str) -> list[str]:
    return [str(place.absolute()) for place in files.folders.of_model(folder)]


def _listing(files: Files, folder: str) -> Iterator[dict[str, Any]]:
    for index, place in enumerate(files.folders.of_model(folder)):
        for name in model_files(place, folder):
            facts = (place if place.is_file() else place / name).stat()
            yield {
                "name": name,
                "pathIndex": index,
                "modified": facts.st_mtime,
                "created": facts.st_ctime,
                "size": facts.st_size,
            }


def _below(place: Path, name: str) -> Path:
    try:
        return place / relative(name)
    except NodeGraphError as error:
        raise web.HTTPNotFound(text=f"404: {error}\n") from error


def _metadata(path: Path) -> dict[str, Any] | None:
    """Return the `__metadata__` of a safetensors header; None if the file has none."""
    with path.open("rb") as file:
        start = file.read(_LENGTH.size)
        length = _LENGTH.unpack(start)[0] if len(start) == _LENGTH.size else 0
        header = file.read(length) if length <= _LARGEST_HEADER else b""
    try:
        value = parse_json(header)
    except InvalidWorkflowError:
        return None
    found = value.get("__metadata__") if is_object(value) else None
    return found if is_object(found) else None
