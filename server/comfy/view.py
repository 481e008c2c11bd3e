"""`GET /view`: a picture, or any other file, of the input, output and temp folders."""

import mimetypes

from aiohttp import web

from nodegraph.errors import UnsafePathError
from nodegraph.results import Artifact
from server.services import services

_FOLDERS = ("input", "output", "temp")
_SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
"""What a browser may show; everything else is for downloading."""


async def get_view(request: web.Request) -> web.StreamResponse:
    """`?filename=&subfolder=&type=`."""
    query = request.query
    name, kind = query.get("filename", ""), query.get("type", "output")
    if kind not in _FOLDERS:
        raise web.HTTPBadRequest(text=f"400: type is one of {', '.join(_FOLDERS)}.\n")
    if not name:
        raise web.HTTPNotFound(text="404: which file? (filename)\n")
    artifact = Artifact(name, query.get("subfolder", ""), kind)
    try:
        path = services(request).files.path(artifact)
    except UnsafePathError as error:
        raise web.HTTPBadRequest(text=f"400: {error}\n") from error
    if not path.is_file():
        raise web.HTTPNotFound(text=f"404: there is no such file in the {kind} folder.\n")
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    shown = mime in _SHOWN
    headers = {
        "Content-Type": mime if shown else "application/octet-stream",
        "Content-Disposition": f"{'inline' if shown else 'attachment'}",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return web.FileResponse(path, headers=headers)
