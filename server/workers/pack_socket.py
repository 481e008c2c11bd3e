"""The socket on which a worker's packs answer requests; it is opened for the first request."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from server.errors import WorkerLostError

PATIENCE = 120.0
"""Seconds that importing the packs may take."""


class PackSocket:
    """The socket of one worker for requests to its packs.

    Args:
        send: sends a message to the worker.
    """

    def __init__(self, send: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._open: asyncio.Future[Path] | None = None

    async def path(self) -> Path:
        """Return the path of the socket; open it first if need be.

        Raises:
            WorkerLostError: the worker is dead, or does not answer.
        """
        if self._open is None:
            self._folder = tempfile.TemporaryDirectory(prefix="nodegraph-")
            self._open = asyncio.get_running_loop().create_future()
            await self._send({"op": "open", "path": str(self._socket)})
        try:
            return await asyncio.wait_for(asyncio.shield(self._open), PATIENCE)
        except TimeoutError:
            reason = "importing its packs took too long"
            raise WorkerLostError(reason, together=0) from None

    def mark_open(self) -> None:
        """Note that the worker listens on the socket."""
        if self._open is not None and not self._open.done():
            self._open.set_result(self._socket)

    def lose(self, error: WorkerLostError) -> None:
        """Note that the worker is dead, and delete the socket."""
        if self._open is not None and not self._open.done():
            self._open.set_exception(error)
            self._open.exception()  # marks it as retrieved: possibly nobody waits
        self._open = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def _socket(self) -> Path:
        return Path(self._folder.name if self._folder else "") / "packs"
