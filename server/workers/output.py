"""The lines that a worker process writes to stdout and stderr, for the server's log."""

import asyncio
import logging
import os
from collections.abc import Callable
from types import TracebackType

LOGGER = "server.worker.output"
"""The name of the log of these lines."""
_log = logging.getLogger(LOGGER)
_LONGEST = 10_000


def log_output(worker: str, level: int = logging.INFO) -> Callable[[str], None]:
    """Return a function that logs a line of a worker, at a level of `logging`'s."""

    def tell(line: str) -> None:
        _log.log(level, "%s", line, extra={"worker": worker})

    return tell


class Output:
    """A pipe for the output of a process.

    It is not asyncio's own pipe, which delays the end of a process while a child holds it open.

    Args:
        tell: is called with each line.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
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
        self._transport, _ = await loop.connect_read_pipe(lambda: _Lines(self._tell), file)

    def close(self) -> None:
        """Stop reading a second after the process ended, when its last lines have been read."""
        if self._transport is not None:
            asyncio.get_running_loop().call_later(1.0, self._transport.close)


class _Lines(asyncio.Protocol):
    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._begun = b""

    def data_received(self, data: bytes) -> None:
        *lines, self._begun = (self._begun + data).split(b"\n")
        if len(self._begun) > _LONGEST:
            lines, self._begun = [*lines, self._begun], b""
        for line in lines:
            self._take(line)

    def eof_received(self) -> None:
        self._take(self._begun)
        self._begun = b""

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._take(self._begun)

    def _take(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text:
            self._tell(text)
