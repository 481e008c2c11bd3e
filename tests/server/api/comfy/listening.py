"""A WebSocket client for tests: a thread that keeps all that it hears."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import aiohttp

from tests.server.serving import PATIENCE, Server


class Listener:
    """What one connection heard so far."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.binary: list[bytes] = []
        self.bytes = 0
        self.closed: int | None = None
        """The code that the connection was closed with."""
        self.over: set[str] = set()
        """The runs whose end marker came."""
        self._news = threading.Condition()

    def hear(self, message: aiohttp.WSMessage) -> None:
        """Keep a message."""
        with self._news:
            self.bytes += len(message.data)
            if message.type is aiohttp.WSMsgType.TEXT:
                self.messages.append(json.loads(message.data))
                self._note_end(self.messages[-1])
            else:
                self.binary.append(message.data)
            self._news.notify_all()

    def close(self, code: int | None) -> None:
        """There will be nothing more."""
        with self._news:
            self.closed = code or 1000
            self._news.notify_all()

    def until(self, found: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Wait until something of it is so; what that is."""
        end = time.monotonic() + seconds
        with self._news:
            while not (answer := found()):
                left = end - time.monotonic()
                assert left > 0, f"nothing came in {seconds} s; heard {self.names()[-20:]}"
                self._news.wait(left)
        return answer

    def ended(self, run: str, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """All messages about a run, once its end marker is there."""
        self.until(lambda: run in self.over, seconds)
        return self.about(run)

    def _note_end(self, message: dict[str, Any]) -> None:
        if message["type"] == "executing" and message["data"]["node"] is None:
            self.over.add(message["data"]["prompt_id"])

    def about(self, run: str) -> list[dict[str, Any]]:
        """The messages about a run."""
        return [item for item in self.messages if item["data"].get("prompt_id") == run]

    def data(self, name: str) -> list[dict[str, Any]]:
        """What the messages of a name said."""
        return [item["data"] for item in self.messages if item["type"] == name]

    def names(self) -> list[str]:
        """Of which kinds the messages were."""
        return [item["type"] for item in self.messages]


@contextmanager
def listening(
    server: Server, client: str | None = None, since: int | None = None, flags: object = None
) -> Generator[Listener]:
    """Listen on a connection of its own, until the end of the block.

    Args:
        server: whom to listen to.
        client: the id; none is sent if None.
        since: the number after which to go on.
        flags: the features to announce, if any.
    """
    listener, loop = Listener(), asyncio.new_event_loop()
    asked = {"clientId": client, "since": since}
    query = {name: str(value) for name, value in asked.items() if value is not None}

    async def talk() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(server.socket_url, params=query, max_msg_size=0) as socket,
        ):
            if flags is not None:
                await socket.send_json({"type": "feature_flags", "data": flags})
            async for message in socket:
                listener.hear(message)
            listener.close(socket.close_code)

    task = loop.create_task(talk())

    def work() -> None:
        try:
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        finally:
            loop.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        listener.until(lambda: len(listener.messages) >= 2)
        yield listener
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(task.cancel)
        thread.join(PATIENCE)
