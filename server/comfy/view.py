"""`GET /view`: a picture, or any other file, of the input, output and temp folders."""

import mimetypes
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from nodegraph.results import Artifact
from server.comfy.places import folder_type, found
from server.errors import UnreadablePictureError
from server.services import services

_SHOWN = (
    *("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"),
    *("video/mp4", "video/webm", "audio/mpeg", "audio/flac", "audio/ogg", "audio/x-wav"),
)
"""What a browser may show; everything else is for downloading."""
_CHANNELS = ("rgba", "rgb", "a")
_PREVIEWS = ("webp", "jpeg")
_QUALITY = 90


async def get_view(request: web.Request) -> web.StreamResponse:
    """`?filename=&subfolder=&type=`, and `&preview=webp;90` or `&channel=rgb` or `a`.

    The file as it is can be had in ranges; what is made of a picture can not.
    """
    query = request.query
    channel = query.get("channel", "rgba")
    if channel not in _CHANNELS:
        raise web.HTTPBadRequest(text=f"400: channel is one of {', '.join(_CHANNELS)}.\n")
    kind = folder_type(query.get("type", "output"))
    named = Artifact(query.get("filename", ""), query.get("subfolder", ""), kind)
    path = found(services(request).files, named)
    try:
        if query.get("preview"):
            return await _preview(request, path, channel)
        if channel != "rgba":
            data = await services(request).pictures.channel(path, channel)
            return web.Response(body=data, headers=_headers("image/png", path.name))
    except UnreadablePictureError as error:
        raise web.HTTPBadRequest(text=f"400: {error.message}\n") from error
    mime = mimetypes.guess_type(path.name)[0] or ""
    return web.FileResponse(path, headers=_headers(mime, path.name))


async def _preview(request: web.Request, path: Path, channel: str) -> web.Response:
    """`webp;90`: the format and its quality, of which either may be left out."""
    form, _, quality = request.query["preview"].partition(";")
    form = form if form in _PREVIEWS and "a" not in request.query.get("channel", "") else "webp"
    wanted = int(quality) if quality.isdecimal() and 1 <= int(quality) <= 100 else _QUALITY
    data = await services(request).pictures.preview(path, form, wanted, channel)
    return web.Response(body=data, headers=_headers(f"image/{form}", path.name))


def _headers(mime: str, name: str) -> dict[str, str]:
    """Those that keep a file from doing anything in a browser but being shown."""
    shown = mime in _SHOWN
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    disposition = f'{"inline" if shown else "attachment"}; filename="{plain}"'
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Type": mime if shown else "application/octet-stream",
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
