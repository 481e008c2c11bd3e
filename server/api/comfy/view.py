"""`GET /view`: an image or any other file of the input, output and temp folders."""

from pathlib import Path

from aiohttp import web

from nodegraph.graph.results import Artifact
from server.api.comfy.user_paths import find_file, folder_type, local_copy
from server.errors import UnreadablePictureError
from server.web.file_responses import file_response, media_type, safe_headers
from server.web.request_bodies import parse_number
from server.web.services import services

_CHANNELS = ("rgba", "rgb", "a")
_PREVIEWS = ("webp", "jpeg")
_QUALITY = 90


async def get_view(request: web.Request) -> web.StreamResponse:
    """Reply with a file: `?filename=&subfolder=&type=`.

    Of an image, `&preview=webp;90` gives a smaller version, `&channel=rgb` or `a` some channels.
    Only the unchanged file can be had in ranges.
    """
    query = request.query
    channel = query.get("channel", "rgba")
    if channel not in _CHANNELS:
        raise web.HTTPBadRequest(text=f"400: channel is one of {', '.join(_CHANNELS)}.\n")
    kind = folder_type(query.get("type", "output"))
    named = Artifact(query.get("filename", ""), query.get("subfolder", ""), kind)
    parts = services(request)
    try:
        found = await find_file(parts, named)
    except web.HTTPNotFound:
        if kind != "input":
            raise
        return await _their_input(request, named)
    try:
        if query.get("preview"):
            return await _preview(request, await local_copy(parts, found), channel)
        if channel != "rgba":
            path = await local_copy(parts, found)
            data = await parts.pictures.channel(path, channel)
            return web.Response(body=data, headers=safe_headers("image/png", path.name))
    except UnreadablePictureError as error:
        raise web.HTTPBadRequest(text=f"400: {error.message}\n") from error
    return await file_response(request, found)


async def _their_input(request: web.Request, named: Artifact) -> web.Response:
    """Reply with an input file that only a ComfyUI server has, unchanged."""
    name = "/".join(part for part in (named.subfolder, named.filename) if part)
    found = await services(request).comfyui.input_file(name)
    if found is None:
        raise web.HTTPNotFound(text="404: there is no such file.\n")
    name = Path(named.filename).name
    return web.Response(body=found.data, headers=safe_headers(media_type(name), name))


async def _preview(request: web.Request, path: Path, channel: str) -> web.Response:
    """Reply with a smaller version; `webp;90` is the format and quality, either may be missing."""
    form, _, quality = request.query["preview"].partition(";")
    form = form if form in _PREVIEWS and "a" not in request.query.get("channel", "") else "webp"
    number = parse_number(quality)
    wanted = number if number is not None and 1 <= number <= 100 else _QUALITY
    data = await services(request).pictures.preview(path, form, wanted, channel)
    return web.Response(body=data, headers=safe_headers(f"image/{form}", path.name))
