"""The routes of packs, answered in the worker, and the messages of packs to clients."""

import asyncio
import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from nodegraph.errors import PackError
from nodegraph.graph.json_values import is_plain
from nodegraph.packs.loading import import_named
from nodegraph.packs.registry import Registry
from nodegraph.packs.routes import PackServer
from server.workers.wire import Channel

_log = logging.getLogger(__name__)
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
        asyncio.run(_serve(server, path, channel))

    threading.Thread(target=serve, name="packs", daemon=True).start()


def _import(module: str, name: str) -> None:
    try:
        import_named(module, f"the pack {name!r}")
    except PackError as error:
        _log.warning("%s", error)


async def _serve(server: PackServer, path: Path, channel: Channel) -> None:
    from aiohttp import web  # Here: it is half of a worker's start, and most never need it.

    app = web.Application(client_max_size=_LARGEST)
    routes = {(route.method, route.path): route.handler for route in server.routes}
    for (method, place), handler in routes.items():
        app.router.add_route(method, place, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    channel.send({"op": "opened"})
    await asyncio.Event().wait()
