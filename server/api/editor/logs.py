"""The newest lines of the server's log, for the editor's terminal."""

import asyncio
import logging
import shutil
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from server.observability.logs import TextFormatter
from server.scheduling.event_bus import LOG_SUBSCRIPTION, Bus, Message
from server.web.request_bodies import read_object
from server.web.services import owner_of
from server.web.tokens import NOBODY

_KEPT = 1000


class LogKeeper(logging.Handler):
    """Keeps log records as text, and publishes each as a `logs` message.

    Args:
        bus: publishes the messages.
    """

    def __init__(self, bus: Bus) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(TextFormatter())
        self._bus = bus
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entries: deque[dict[str, str]] = deque(maxlen=_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep and publish a record; called from any thread."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        entry = {"t": time, "m": f"{self.format(record)}\n"}
        self._entries.append(entry)
        if self._loop and not self._loop.is_closed() and not self._bus.idle:
            self._loop.call_soon_threadsafe(self._publish, entry)

    async def keep_logs(self, _app: web.Application) -> AsyncIterator[None]:
        """Receive log records while the server is up."""
        self._loop = asyncio.get_running_loop()
        logging.getLogger().addHandler(self)
        yield
        logging.getLogger().removeHandler(self)
        self._loop = None

    async def text(self, request: web.Request) -> web.Response:
        """Reply with the lines as one string."""
        _refuse_owners(request)
        return web.json_response("".join(entry["m"] for entry in list(self._entries)))

    async def raw(self, request: web.Request) -> web.Response:
        """Reply with the lines one by one, and the width of the terminal."""
        _refuse_owners(request)
        return web.json_response({"entries": list(self._entries), "size": _size()})

    async def subscribe(self, request: web.Request) -> web.Response:
        """Turn a client's `logs` messages on or off: `{"enabled": true, "clientId": "…"}`."""
        _refuse_owners(request)
        body = await read_object(request)
        client, enabled = body.get("clientId"), body.get("enabled")
        if not isinstance(client, str) or not isinstance(enabled, bool):
            message = '400: the body has to be {"enabled": true or false, "clientId": "…"}.\n'
            raise web.HTTPBadRequest(text=message)
        self._bus.publish(
            Message(LOG_SUBSCRIPTION, client=client, owner=NOBODY, data={"enabled": enabled})
        )
        return web.Response()

    def _publish(self, entry: dict[str, str]) -> None:
        self._bus.publish(Message("logs", owner=NOBODY, data={"entries": [entry], "size": _size()}))


def _refuse_owners(request: web.Request) -> None:
    """Refuse owners with a name: where several share the server, its log concerns all of them."""
    if owner_of(request) != NOBODY:
        raise web.HTTPForbidden(text="403: the log is only for operators of the server.\n")


def _size() -> dict[str, Any]:
    columns, lines = shutil.get_terminal_size()
    return {"cols": columns, "rows": lines}
