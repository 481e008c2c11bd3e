"""Packs' own routes, answered in the worker; and what packs tell clients."""

import asyncio
import logging
import threading
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from nodegraph.errors import PackError
from nodegraph.importing import import_named
from nodegraph.pack_server import OFFERED
from nodegraph.plain import is_plain
from nodegraph.registry import Registry
from server.wire import Channel

_log = logging.getLogger(__name__)
_LARGEST = 100 * 2**20
"""Bytes that a request may have; the server itself takes no larger ones."""


class PackMessages:
    """Hands on what packs tell clients.

    Args:
        channel: leads to the server.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def tell(self, name: str, data: object, run: str) -> None:
        """Tell the client of a run; or everybody, if it is about none."""
        if not is_plain(data):
            _log.warning("a pack's message %r is left out: it is no JSON", name)
            return
        event = {"event": "pack_message", "name": name, "data": data}
        with suppress(OSError):
            self._channel.send({"op": "event", "run": run, "event": event})


def open_site(registry: Registry, path: Path, channel: Channel) -> None:
    """Import the packs that answer requests, and listen on a socket for them, in a thread."""

    def serve() -> None:
        for pack in registry.packs:
            if pack.routes:
                _import(pack.module, pack.name)
        asyncio.run(_serve(path, channel))

    threading.Thread(target=serve, name="packs", daemon=True).start()


def _import(module: str, name: str) -> None:
    try:
        import_named(module, f"the pack {name!r}")
    except PackError as error:
        _log.warning("%s", error)


async def _serve(path: Path, channel: Channel) -> None:
    app = web.Application(client_max_size=_LARGEST)
    routes = {(route.method, route.path): route.handler for route in OFFERED.routes}
    for (method, place), handler in routes.items():
        app.router.add_route(method, place, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    channel.send({"op": "opened"})
    await asyncio.Event().wait()
