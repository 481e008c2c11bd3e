"""A server's connection to an actor, as the actor has it: what the server has yet to hear."""

import asyncio
import time

from server.workers.ray.messages import News

_MOST = 8 * 2**20
"""Bytes that may wait for the server; from then on the process waits."""


class Session:
    """The bytes that one connected server has yet to hear of the process.

    Args:
        name: the name of the connection.
        owner: the server.
    """

    def __init__(self, name: str, owner: str) -> None:
        self.name = name
        self.owner = owner
        self.is_live = True
        """False once the server has gone, or another one has come."""
        self._bytes = bytearray()
        self._code: int | None = None
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._asks = 0
        self._asked = time.monotonic()

    @property
    def silent_for(self) -> float:
        """The seconds for which the server has not asked; 0 while it waits for an answer."""
        return 0.0 if self._asks else time.monotonic() - self._asked

    def note_alive(self) -> None:
        """Note that the server is there."""
        self._asked = time.monotonic()

    async def put(self, data: bytes) -> None:
        """Add bytes, as soon as there is room; drop them if the server has gone."""
        while self.is_live and len(self._bytes) >= _MOST:
            self._room.clear()
            await self._room.wait()
        if self.is_live:
            self._bytes += data
            self._news.set()

    def end(self, code: int) -> None:
        """Note that the process is dead, with its exit code."""
        self._code = code
        self._news.set()

    def close(self) -> None:
        """Note that nobody hears of the process by this connection any more."""
        self.is_live = False
        self._bytes.clear()
        self._news.set()
        self._room.set()

    async def take(self, most: int, patience: float) -> News:
        """Return bytes and perhaps the end; nothing if none come within `patience` seconds."""
        self._asks += 1
        try:
            async with asyncio.timeout(patience):
                await self._news.wait()
        except TimeoutError:
            return News()
        finally:
            self._asks -= 1
            self.note_alive()
        if not self.is_live:
            return News(over=True)
        data = bytes(self._bytes[:most])
        del self._bytes[:most]
        self._room.set()
        if self._bytes:
            return News(data)
        if self._code is None:
            self._news.clear()
        return News(data, self._code)
