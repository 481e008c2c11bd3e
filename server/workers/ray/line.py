"""The server's end of the way to one actor, for one life of the worker's process."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from server.workers.process import Ending

_PART = 2**20
Send = Callable[[Mapping[str, Any], bytes], None]
"""Sends a message to the gateway, with bytes."""


class Line:
    """The bytes of one life of a worker's process, both ways.

    Args:
        worker: the name of the worker.
        life: a number of its own for each life.
        send: sends a message to the gateway.
    """

    def __init__(self, worker: str, life: int, send: Send) -> None:
        self.worker = worker
        self.life = life
        self.reader = asyncio.StreamReader()
        self.attached = asyncio.Event()
        self.ending: Ending | None = None
        """The end of the process, once it is known."""
        self._send = send

    def take(self, body: Mapping[str, Any], data: bytes) -> None:
        """Handle a message of the gateway."""
        match body["op"]:
            case "attached":
                self.attached.set()
            case "data":
                self.reader.feed_data(data)
            case "ended":
                self.end(Ending.by_exit(body["code"]))
            case _:
                self.end(Ending(body["reason"], "actor", charged=body["died"]))

    def end(self, ending: Ending) -> None:
        """Note how the process ended, or the way to it."""
        if self.ending is None:
            self.ending = ending
            self.reader.feed_eof()
            self.attached.set()

    def write(self, data: bytes) -> None:
        """Send bytes to the process."""
        for start in range(0, len(data), _PART):
            part = data[start : start + _PART]
            self._send({"op": "write", "worker": self.worker, "life": self.life}, part)

    async def drain(self) -> None:
        """Return at once: the gateway takes whatever there is."""

    def close(self, how: str) -> None:
        """Let go of the actor: `release` it, `restart` its process, or `remove` it."""
        self._send({"op": "end", "worker": self.worker, "life": self.life, "how": how}, b"")
        self.end(Ending("it was let go of", "released", charged=how == "restart"))
