"""Where a worker's packs answer requests of their own: a socket that is opened when one comes."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from server.errors import WorkerLostError

PATIENCE = 120.0
"""Seconds that importing the packs may take."""


class Site:
    """One worker's socket.

    Args:
        send: leads to the worker.
    """

    def __init__(self, send: Callable[[Mapping[str, Any]], Awaitable[None]]) -> None:
        self._send = send
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._open: asyncio.Future[Path] | None = None

    async def path(self) -> Path:
        """The socket; opened first if it is not.

        Raises:
            WorkerLostError: the worker is gone, or does not answer.
        """
        if self._open is None:
            self._folder = tempfile.TemporaryDirectory(prefix="nodegraph-")
            self._open = asyncio.get_running_loop().create_future()
            await self._send({"op": "open", "path": str(self._socket)})
        try:
            return await asyncio.wait_for(asyncio.shield(self._open), PATIENCE)
        except TimeoutError:
            reason = "its packs take too long to import"
            raise WorkerLostError(reason, together=0) from None

    def opened(self) -> None:
        """The worker says that it listens there."""
        if self._open is not None and not self._open.done():
            self._open.set_result(self._socket)

    def lose(self, error: WorkerLostError) -> None:
        """The worker is gone."""
        if self._open is not None and not self._open.done():
            self._open.set_exception(error)
            self._open.exception()  # whoever waits has it; nobody may
        self._open = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def _socket(self) -> Path:
        return Path(self._folder.name if self._folder else "") / "packs"
