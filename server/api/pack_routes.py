"""Routes of packs: requests are forwarded to a worker, which answers them."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias, runtime_checkable

from aiohttp import ClientError, web

from nodegraph.packs.installed import LoadedPack
from nodegraph.packs.registry import Registry
from server.api.editor.static import find_file, send
from server.errors import WorkerLostError
from server.web.services import parts_of
from server.workers.forwarding import forward

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(__name__)
_API = "/api"
_EXTENSIONS = "/extensions/"
"""The paths of folders that the pages of the editor serve."""
_PAUSE, _MOST_PAUSES = 0.5, 240
"""Seconds between two looks for packs that are still being read, and the most looks."""


@runtime_checkable
class HasPackSocket(Protocol):
    """A worker whose packs answer requests on a socket."""

    async def pack_socket(self) -> Path:
        """Return the path of the socket."""
        ...


class PackRoutes:
    """The routes that packs have now; those of packs that are read later come with them.

    Args:
        registry: the packs.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._packs: list[LoadedPack] | None = None
        self._router = web.UrlDispatcher()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let a pack answer what no route of the server's own does."""
        if request.match_info.http_exception is None:
            return await handler(request)
        if self._packs is not self._registry.packs:
            self._packs = self._registry.packs
            self._router = _router(self._packs)
        found = await self._router.resolve(request)
        return await (handler if found.http_exception else found.handler)(request)


def _router(packs: Sequence[LoadedPack]) -> web.UrlDispatcher:
    router = web.UrlDispatcher()
    for route in dict.fromkeys(route for pack in packs for route in pack.routes):
        method, _, path = route.partition(" ")
        try:
            router.add_route(method, path, _ask)
            router.add_route(method, f"{_API}{path}", _ask)
        except ValueError as error:
            _log.warning("the route %r of a pack is left out: %s", route, error)
    folders = {path: folder for pack in packs for path, folder in pack.folders.items()}
    for path, folder in folders.items():
        if not path.startswith(_EXTENSIONS) and re.fullmatch(r"/[\w./-]+", path):
            router.add_get(f"{path}/{{name:.+}}", _Folder(path, folder).reply)
            router.add_get(f"{_API}{path}/{{name:.+}}", _Folder(path, folder).reply)
    return router


class _Folder:
    """Replies with the files of a folder below a path."""

    def __init__(self, path: str, folder: Path) -> None:
        self._path = path
        self._folder = folder

    async def reply(self, request: web.Request) -> web.StreamResponse:
        """Reply with the file that the path names."""
        name = request.path.removeprefix(_API).removeprefix(f"{self._path}/")
        return send(await asyncio.to_thread(find_file, [self._folder], name))


async def _ask(request: web.Request) -> web.StreamResponse:
    """Forward a request to the first worker that is ready."""
    parts = parts_of(request)
    for _ in range(_MOST_PAUSES):
        if not parts.registry.pending:
            break
        await asyncio.sleep(_PAUSE)  # The worker opens its socket once, for the packs of then.
    workers = parts.dispatcher.workers
    ready = [worker for worker in workers if worker.ready and isinstance(worker, HasPackSocket)]
    if not ready:
        raise web.HTTPServiceUnavailable(text="503: no worker is ready.\n")
    try:
        place = request.raw_path.removeprefix(_API)
        return await forward(request, await ready[0].pack_socket(), place)
    except WorkerLostError as error:
        raise web.HTTPServiceUnavailable(text=f"503: {error.message}\n") from error
    except (TimeoutError, ClientError) as error:
        raise web.HTTPBadGateway(text="502: the pack does not answer.\n") from error
