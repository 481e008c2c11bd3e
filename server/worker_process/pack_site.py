"""The routes of packs, answered in the worker, and the messages of packs to clients."""

import asyncio
import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from nodegraph.errors import NodeGraphError, PackError
from nodegraph.graph.json_values import is_plain
from nodegraph.packs.loading import import_named
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer, RoutesElsewhere
from server.workers.wire import Channel

if TYPE_CHECKING:
    from aiohttp import web

_log = logging.getLogger(__name__)
_SITE = "server.worker_process.pack_site:answer_routes"
_LARGEST = 100 * 2**20
"""The most bytes of a request, as in the server itself."""


class PackMessages:
    """Sends the messages of packs to clients, through the server.

    Args:
        channel: the connection to the server.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._kept: ContextVar[list[dict[str, object]] | None] = ContextVar("kept", default=None)

    @contextmanager
    def keep(self) -> Generator[list[dict[str, object]]]:
        """Keep what this thread tells within this block, instead of sending it."""
        messages: list[dict[str, object]] = []
        token = self._kept.set(messages)
        try:
            yield messages
        finally:
            self._kept.reset(token)

    def tell(self, name: str, data: object, run: str) -> None:
        """Send a message to the client of a run; to all clients if `run` is empty."""
        if not is_plain(data):
            _log.warning("the message %r of a pack is dropped: it is not JSON", name)
            return
        kept = self._kept.get()
        if kept is not None:
            kept.append({"name": name, "data": data})
            return
        event = {"event": "pack_message", "name": name, "data": data}
        with suppress(OSError):
            self._channel.send({"op": "event", "run": run, "event": event})


def serve_pack_routes(registry: Registry, server: PackServer, path: Path, channel: Channel) -> None:
    """Import the packs that have routes, and serve these on a socket, in a thread.

    Args:
        registry: the packs.
        server: the one that was handed to them, which they add their routes to.
        path: of the socket.
        channel: is told when the socket is open.
    """

    def serve() -> None:
        for pack in registry.packs:
            if pack.routes:
                _import(pack.module, pack.name)
        answer_routes(server, path, lambda: channel.send({"op": "opened"}))

    threading.Thread(target=serve, name="packs", daemon=True).start()


def _import(module: str, name: str) -> None:
    try:
        import_named(module, f"the pack {name!r}")
    except PackError as error:
        _log.warning("%s", error)


def answer_routes(server: PackServer, path: Path, opened: Callable[[], object]) -> None:
    """Answer the routes of packs on a socket, for ever.

    Args:
        server: has them.
        path: of the socket.
        opened: is called when it is open.
    """
    path.unlink(missing_ok=True)
    asyncio.run(_serve(server, path, opened))


async def _serve(server: PackServer, path: Path, opened: Callable[[], object]) -> None:
    from aiohttp import web  # Here: it is half of a worker's start, and most never need it.

    app = web.Application(client_max_size=_LARGEST)
    routes = {(route.method, route.path): route.handler for route in server.routes}
    for number, elsewhere in enumerate(server.elsewhere.values()):
        handler = _Elsewhere(elsewhere, path.with_name(f"{path.name}.{number}")).reply
        pairs = (route.partition(" ") for route in elsewhere.routes)
        routes |= {(method, place): handler for method, _, place in pairs}
    for (method, place), handler in routes.items():
        app.router.add_route(method, place, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    opened()
    await asyncio.Event().wait()


class _Elsewhere:
    """Has the requests to a pack answered by the pack's own process.

    Args:
        routes: of the pack.
        socket: where they are answered.
    """

    def __init__(self, routes: RoutesElsewhere, socket: Path) -> None:
        self._routes = routes
        self._socket = socket
        self._opening = asyncio.Lock()
        self._times_opened = 0

    async def reply(self, request: "web.Request") -> "web.StreamResponse":
        """Forward a request; open the socket first if nobody answers there."""
        from aiohttp import ClientConnectorError, web  # Here: as in `_serve`.

        from server.workers.forwarding import forward

        before = self._times_opened
        try:
            return await forward(request, self._socket, request.raw_path)
        except ClientConnectorError:
            await self._open(before)
        try:
            return await forward(request, self._socket, request.raw_path)
        except ClientConnectorError as error:
            raise web.HTTPBadGateway(text="502: the pack does not answer.\n") from error

    async def _open(self, before: int) -> None:
        """Open the socket, unless another request has done so meanwhile."""
        async with self._opening:
            if self._times_opened > before:
                return
            self._times_opened += 1
            try:
                await asyncio.to_thread(self._routes.open, _SITE, self._socket)
            except NodeGraphError as error:
                _log.warning("the routes of a pack are not answered: %s", error)
