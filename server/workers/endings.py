"""The end of a worker's process: waiting for it, and describing it."""

import asyncio
import signal
from asyncio.subprocess import Process

GRACE = 5.0
"""Seconds that a process has to exit by itself after its socket is closed."""
LAST_WORDS = 0.2
"""Seconds after the exit of a process in which its socket may still close by itself."""


async def watch(process: Process, reader: asyncio.StreamReader) -> None:
    """End the reader after the process exits, because a child may hold the socket open."""
    await process.wait()
    await asyncio.sleep(LAST_WORDS)
    reader.feed_eof()


async def wait_for_exit(process: Process, grace: float = GRACE) -> int:
    """Wait for the exit of a process, kill it if that takes long, and return its exit code.

    A process that is dead already is never killed: that would take its exit code away from the
    one who waits for it.

    Args:
        process: whose socket is closed.
        grace: the seconds that it has to exit by itself.
    """
    try:
        async with asyncio.timeout(grace):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def signal_of(code: int) -> str:
    """Return the name of the signal that ended a process; empty if it exited by itself."""
    return signal.Signals(-code).name if code < 0 else ""


def describe_exit(code: int) -> str:
    """Return a description of how a process ended."""
    name = signal_of(code)
    if not name:
        return f"it exited with code {code}"
    return f"{name}{', perhaps for lack of memory' if name == 'SIGKILL' else ''}"
