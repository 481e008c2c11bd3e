"""How a worker's process ends, and what is said of it."""

import asyncio
import signal
from asyncio.subprocess import Process

GRACE = 5.0
"""Seconds that a process has to go by itself once nobody talks to it."""
LAST_WORDS = 0.2
"""Seconds after the process's end in which its socket may still close by itself."""


async def watch(process: Process, reader: asyncio.StreamReader) -> None:
    """End the reading when the process has ended: a child of it may hold its socket open."""
    await process.wait()
    await asyncio.sleep(LAST_WORDS)
    reader.feed_eof()


async def ended(process: Process) -> int:
    """Wait until the process is gone; a healthy one goes when its socket is closed. Its code."""
    try:
        async with asyncio.timeout(GRACE):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def signal_of(code: int) -> str:
    """The signal that ended it; empty if it left by itself."""
    return signal.Signals(-code).name if code < 0 else ""


def described(code: int) -> str:
    """How it ended, in words."""
    name = signal_of(code)
    if not name:
        return f"it exited with code {code}"
    return f"{name}{', perhaps for lack of memory' if name == 'SIGKILL' else ''}"
