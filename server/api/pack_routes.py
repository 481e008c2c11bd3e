"""Routes of packs: requests are forwarded to a worker, which answers them."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from aiohttp import ClientError, ClientSession, ClientTimeout, UnixConnector, web
from yarl import URL

from server.api.editor.static import find_file, send
from server.errors import WorkerLostError
from server.web.services import PARTS, parts_of

_API = "/api"
_EXTENSIONS = "/extensions/"
"""The paths of folders that the pages of the editor serve."""
_TIMEOUT = ClientTimeout(total=300.0)
_PRIVATE_REQUEST_HEADERS = ("authorization", "cookie", "host", "content-length", "expect")
"""Request headers that are not forwarded to packs; they hold the server's tokens, for example."""
_PRIVATE_REPLY_HEADERS = ("set-cookie", "content-length", "date", "server")
"""Reply headers that are not forwarded to clients."""
_HOP_BY_HOP = ("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade")


@runtime_checkable
class HasPackSocket(Protocol):
    """A worker whose packs answer requests on a socket."""

    async def pack_socket(self) -> Path:
        """Return the path of the socket."""
        ...


def add_packs(app: web.Application) -> None:
    """Add the routes of packs last, so that they cannot replace the server's own."""
    own = {(route.method, _place(route)) for route in app.router.routes()}
    offered = (route for pack in app[PARTS].registry.packs for route in pack.routes)
    for route in dict.fromkeys(offered):
        method, _, path = route.partition(" ")
        if (method, path) not in own and path.startswith("/"):
            app.router.add_route(method, path, _ask)
            app.router.add_route(method, f"{_API}{path}", _ask)
    folders = {path: f for pack in app[PARTS].registry.packs for path, f in pack.folders.items()}
    for path, folder in folders.items():
        if not path.startswith(_EXTENSIONS) and re.fullmatch(r"/[\w./-]+", path):
            app.router.add_get(f"{path}/{{name:.+}}", _Folder(folder).reply)
            app.router.add_get(f"{_API}{path}/{{name:.+}}", _Folder(folder).reply)


class _Folder:
    """Replies with the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def reply(self, request: web.Request) -> web.StreamResponse:
        """Reply with the file that the path names."""
        return send(await asyncio.to_thread(find_file, [self._folder], request.match_info["name"]))


def _place(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource else ""


async def _ask(request: web.Request) -> web.StreamResponse:
    """Forward a request to the first worker that is ready."""
    workers = parts_of(request).dispatcher.workers
    ready = [worker for worker in workers if worker.ready and isinstance(worker, HasPackSocket)]
    if not ready:
        raise web.HTTPServiceUnavailable(text="503: no worker is ready.\n")
    try:
        return await _forward(request, await ready[0].pack_socket())
    except WorkerLostError as error:
        raise web.HTTPServiceUnavailable(text=f"503: {error.message}\n") from error
    except (TimeoutError, ClientError) as error:
        raise web.HTTPBadGateway(text="502: the pack does not answer.\n") from error


async def _forward(request: web.Request, socket: Path) -> web.StreamResponse:
    url = URL(f"http://packs{request.raw_path.removeprefix(_API)}", encoded=True)
    body = await request.read()
    async with (
        ClientSession(
            connector=UnixConnector(str(socket)), auto_decompress=False, timeout=_TIMEOUT
        ) as session,
        session.request(
            request.method,
            url,
            data=body or None,
            headers=_without(request.headers, _PRIVATE_REQUEST_HEADERS),
            allow_redirects=False,
        ) as answer,
    ):
        headers = _without(answer.headers, _PRIVATE_REPLY_HEADERS)
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        await response.prepare(request)
        async for chunk in answer.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


def _without(headers: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name.lower() not in names and name.lower() not in _HOP_BY_HOP
    }
