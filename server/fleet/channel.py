"""The line between the servers of a fleet: notices that the database passes on."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

from server.errors import StorageError
from server.fleet.notices import Cutter, Joiner
from server.scheduling.recorder import PAUSE
from server.store.store import Store

_log = logging.getLogger(__name__)

MOST_WAITING: Final = 500
"""Notices that may wait to be sent; further messages are dropped."""


class Channel:
    """Hears what other servers tell and tells them; what is lost while it is cut stays lost.

    Args:
        store: the store that the servers share.
        changed: called when it may have new events, and after each new connection.
        hear: called with each message, also with those that this server sent.
    """

    def __init__(
        self,
        store: Store,
        changed: Callable[[], None],
        hear: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._store = store
        self._changed = changed
        self._hear = hear
        self._cutter = Cutter()
        self._joiner = Joiner()
        self._waiting: deque[str] = deque()
        self._filled = asyncio.Event()

    def send(self, message: Mapping[str, Any]) -> None:
        """Have all servers told; nothing happens if too much waits already."""
        if len(self._waiting) < MOST_WAITING:
            self._waiting.extend(self._cutter.cut(message))
            self._filled.set()

    async def listen(self) -> None:
        """Hear messages for ever."""
        async for notice in self._store.notices():
            if not notice.payload:
                self._changed()
            elif (message := self._joiner.join(notice.payload)) is not None:
                self._hear(message)

    async def speak(self) -> None:
        """Send messages for ever; those that wait while the database is away are dropped."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            try:
                while self._waiting:
                    await self._store.broadcast(self._waiting.popleft())
            except StorageError as error:
                _log.warning("other servers can not be told: %s", error)
                self._waiting.clear()
                await asyncio.sleep(PAUSE)
