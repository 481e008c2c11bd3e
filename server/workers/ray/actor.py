"""The actor of a worker: it starts the worker's process, and hands on what both sides say.

The process is the one that a local worker is. When it crashes, the actor stays and tells how; when
the server is restarted, both stay, and the next server finds the caches as they were.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Any

from nodegraph.cache.limit import AUTO, limit_bytes
from server.workers.output import LOGGER
from server.workers.process import ChildProcess
from server.workers.ray.messages import BEAT, CHUNK, LEASE, Attachment, News
from server.workers.ray.session import Session
from server.workers.wire import Frame, FrameSplitter, pack

_PROGRAM = "server.worker_process"
_AT_ONCE = 2**18
_PAUSE = 1.0
_ABANDON = pack(Frame({"op": "abandon"}))


class WorkerHost:
    """The process of one worker, and the server that is connected to it.

    All methods run on one event loop.

    Args:
        recipe: stands for what the actor was made with; told to servers, which may want another.
        keep: seconds that it stays when no server is connected.
    """

    def __init__(self, recipe: str, keep: float) -> None:
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's: one thread a core that the actor asked for
        self._recipe = recipe
        self._keep = keep
        self._session: Session | None = None
        self._child: ChildProcess | None = None
        self._program: Mapping[str, Any] = {}
        self._turn = asyncio.Lock()
        self._alone_since = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    async def describe(self) -> dict[str, Any]:
        """Return what it was made with and which server is connected; empty if none is."""
        live = self._session is not None and self._session.is_live
        owner = self._session.owner if live and self._session else ""
        return {"recipe": self._recipe, "version": version("nodegraph"), "owner": owner}

    async def attach(self, attachment: Attachment) -> str:
        """Connect a server, and start the process if there is none.

        What an earlier server wanted is given up. The process says that it is ready once no
        run is left of that.

        Returns:
            The server that it belongs to and that has to go first; empty if connecting succeeded.

        Raises:
            OSError: the process could not be started.
        """
        async with self._turn:
            before = self._session
            if before is not None and before.is_live and before.owner != attachment.owner:
                return before.owner
            if before is not None:
                before.close()
            program = _with_limits(attachment)
            session = self._session = Session(attachment.session, attachment.owner)
            if self._child is not None and self._program != program:
                await self._end_child()
            if self._child is None:
                await self._start_child(program)
            elif before is not None:
                self._child.writer.write(_ABANDON)
            if before is None:
                self._begin(self._watch())
            session.note_alive()
            return ""

    async def take(self, session: str) -> News:
        """Wait for bytes of the process, a while at most, and return those that are there."""
        current = self._session
        if current is None or current.name != session:
            return News(over=True)
        return await current.take(CHUNK, BEAT)

    async def write(self, session: str, data: bytes) -> None:
        """Send bytes to the process; they are lost if it is dead, which `take` tells."""
        current = self._session
        if current is None or current.name != session or self._child is None:
            return
        with suppress(ConnectionError):
            self._child.writer.write(data)
            await self._child.writer.drain()

    async def detach(self, session: str, *, end: bool = False) -> None:
        """Let go of a server, which then may be another one; `end` ends the process, too."""
        current = self._session
        if current is not None and current.name == session:
            async with self._turn:
                current.close()
                if end:
                    await self._end_child()
                self._give_up()

    async def _start_child(self, program: Mapping[str, Any]) -> None:
        self._program = program
        self._child = child = await ChildProcess.start(_PROGRAM, {}, self._tell)
        child.writer.write(pack(Frame({"op": "start", **program})))
        self._begin(self._read(child))

    async def _end_child(self) -> None:
        """End the process; then nobody hears of it any more."""
        child, self._child = self._child, None
        if child is not None:
            await child.end()

    async def _read(self, child: ChildProcess) -> None:
        """Hand on what the process says until it is dead."""
        splitter = FrameSplitter()
        with suppress(ConnectionError):
            while data := await child.reader.read(_AT_ONCE):
                whole = splitter.take(data)
                if whole and self._session is not None:
                    await self._session.put(whole)
        code = await child.end()
        if self._child is child:
            self._child = None
            if self._session is not None:
                self._session.end(code)

    async def _watch(self) -> None:
        """Give up a server that asks no more, and this actor if there is none for long."""
        while True:
            await asyncio.sleep(_PAUSE)
            session = self._session
            if session is not None and session.is_live:
                self._alone_since = time.monotonic()
                if session.silent_for > LEASE:
                    session.close()
                    self._give_up()
            elif time.monotonic() - self._alone_since > self._keep:
                await self._leave()

    def _give_up(self) -> None:
        """Have the process end what it computes, for nobody waits for it."""
        if self._child is not None:
            self._child.writer.write(_ABANDON)

    async def _leave(self) -> None:
        """End this actor for good, so that it is not restarted."""
        import ray  # pyright: ignore[reportMissingImports]: it is there, for this is an actor

        await self._end_child()
        core: Any = ray  # typed in part only
        core.kill(core.get_runtime_context().current_actor)

    def _tell(self, line: str) -> None:
        """Have a line that the process printed logged by the server."""
        fields = {"name": LOGGER, "levelno": 20, "levelname": "INFO", "msg": line}
        record = {**fields, "created": (now := time.time()), "msecs": now % 1 * 1000}
        if self._session is not None:
            frame = pack(Frame({"op": "log", "record": record}))
            self._begin(self._session.put(frame))

    def _begin(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _with_limits(attachment: Attachment) -> dict[str, Any]:
    """Return the options of the program, with its share of this machine's memory."""
    program = attachment.program
    flags = program["flags"]
    limit = flags.get("result_cache", AUTO)
    share = limit_bytes(limit, attachment.sharers) if limit == AUTO else limit
    return {**program, "flags": {**flags, "result_cache": share}}
