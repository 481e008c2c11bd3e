"""A process that computes runs: its start, the connection to it, and its end."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from nodegraph.settings.layers import variable
from server.workers.output import Output

GRACE = 5.0
"""Seconds that a process has to exit by itself after its socket is closed."""
LAST_WORDS = 0.2
"""Seconds after the exit of a process in which its socket may still close by itself."""
LONGEST_START, LONGEST_WARM_START = 300.0, 3600.0
"""Seconds that a process may take to be ready, the second one if it reads models first; after that
it is killed."""
_OURS = variable("server.")
_PR_SET_PDEATHSIG = 1
_LIMIT = 2**20
_ALLOCATOR: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
}
"""The limits that glibc's allocator itself comes to once a block of 32 MiB was freed: until then
it returns the memory of every image to the system, and gets it back page by page."""


@dataclass(frozen=True, slots=True)
class ChildProcess:
    """A process that is connected to this one by a socket, and ends with it."""

    process: Process
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    output: Output
    watching: asyncio.Task[None]

    @classmethod
    async def start(
        cls, module: str, environment: Mapping[str, str], tell: Callable[[str], None]
    ) -> "ChildProcess":
        """Start a module as a process.

        Args:
            module: is run with one argument, the number of its end of the socket.
            environment: variables beside those of this process.
            tell: is called with each line that it prints.

        Raises:
            OSError: it could not be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs, Output(tell) as output:
                process = await _spawn(module, theirs, output, environment)
        except OSError:
            ours.close()
            raise
        await output.follow()
        reader, writer = await asyncio.open_connection(sock=ours, limit=_LIMIT)
        watching = asyncio.create_task(watch(process, reader))
        return cls(process, reader, writer, output, watching)

    async def end(self) -> int:
        """Close the socket, at which a healthy process exits; return the exit code."""
        self.watching.cancel()
        self.writer.close()
        code = await wait_for_exit(self.process)
        self.output.close()
        return code


async def _spawn(
    module: str, theirs: socket.socket, output: Output, environment: Mapping[str, str]
) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "faulthandler", "-m", module, str(theirs.fileno())),
        pass_fds=[theirs.fileno()],
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the server, which lets runs finish
        stdout=output.end,
        stderr=output.end,
        env=_variables(environment),
    )


def _variables(own: Mapping[str, str]) -> dict[str, str]:
    """Return its environment: this process's, without the server's own settings."""
    ours = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
    return {**_ALLOCATOR, **ours, **own}


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


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a worker's process."""

    reason: str
    kind: str
    """The name of the signal; `exit` if it exited by itself. Metrics count the ends by it."""
    charged: bool = True
    """True if its runs may have caused it."""

    @classmethod
    def by_exit(cls, code: int) -> "Ending":
        """Return the end of a process with that exit code."""
        return cls(describe_exit(code), signal_of(code) or "exit")


def die_with_parent() -> None:
    """Have the system kill this process as soon as its parent dies; only on Linux.

    The closed socket would end the process too, but only once a thread can read it, which a
    node may prevent.
    """
    if sys.platform != "linux":
        return
    import ctypes  # imported here because only Linux needs it

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
