"""Copies what a worker process writes to stdout and stderr into the server's log."""

import asyncio
import logging
import os
from types import TracebackType

_log = logging.getLogger("server.worker.output")

_LONGEST = 10_000


class Output:
    """A pipe for the output of a process.

    It is not asyncio's own pipe, which delays the end of a process while a child holds it open.

    Args:
        worker: the name of the worker.
    """

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._transport: asyncio.ReadTransport | None = None
        self._ours, self.end = os.pipe()

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close this process's copy of the writing end; on an error, close the reading end, too."""
        os.close(self.end)
        if error is not None:
            os.close(self._ours)

    async def follow(self) -> None:
        """Start reading."""
        loop = asyncio.get_running_loop()
        file = os.fdopen(self._ours, "rb", 0)
        self._transport, _ = await loop.connect_read_pipe(lambda: _Lines(self._worker), file)

    def close(self) -> None:
        """Stop reading a second after the process ended, when its last lines have been read."""
        if self._transport is not None:
            asyncio.get_running_loop().call_later(1.0, self._transport.close)


class _Lines(asyncio.Protocol):
    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._begun = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _LONGEST:
            lines, self._begun = [*lines, self._begun], b""
        for line in lines:
            self._tell(line)

    def eof_received(self) -> None:
        self._tell(self._begun)
        self._begun = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._tell(self._begun)

    def _tell(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            _log.info("%s", text, extra={"worker": self._worker})
