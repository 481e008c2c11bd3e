"""A worker whose process is an actor's, somewhere in a cluster of Ray."""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from server.workers.process import LONGEST_START, LONGEST_WARM_START, Ending
from server.workers.process_worker import ProcessWorker, ServerHooks
from server.workers.ray.connection import RayConnection
from server.workers.ray.line import Line
from server.workers.ray.messages import ActorOptions

_log = logging.getLogger(__name__)


class RayWorker(ProcessWorker):
    """A worker in an actor of Ray; it keeps its caches when the server is restarted.

    Args:
        options: the actor.
        program: the options of the worker's program.
        connection: leads to the cluster.
        hooks: the parts of the server that it calls.
        slots: the number of runs that it computes at once.
    """

    def __init__(
        self,
        options: ActorOptions,
        program: Mapping[str, Any],
        connection: RayConnection,
        hooks: ServerHooks,
        *,
        slots: int = 1,
    ) -> None:
        super().__init__(options.name, hooks, slots=slots, on_card=options.gpus > 0)
        self._actor = options
        self._program = program
        self._connection = connection
        self._longest_start = LONGEST_WARM_START if program.get("warm") else LONGEST_START
        self._wanted = asyncio.Event()
        self._line: Line | None = None
        self._busy_at = time.monotonic()

    @property
    def ready(self) -> bool:
        """True if it accepts runs now; False while the cluster's head does not answer."""
        return self._is_ready and self._connection.is_up

    @property
    def is_wanted(self) -> bool:
        """True if its actor is there or is waited for."""
        return self._wanted.is_set()

    @property
    def idle_for(self) -> float:
        """Seconds since it last had a run; 0 if it has one."""
        if self._runs:
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at

    def want(self) -> None:
        """Have the actor created; until there is room for it, it waits, which calls for nodes."""
        self._busy_at = time.monotonic()
        self._wanted.set()

    def give_up(self) -> None:
        """Remove the actor; do nothing if it has runs."""
        if not self._runs:
            self._wanted.clear()
            self._retire()
            if self._line is not None:
                self._line.close("remove")

    async def _live(self) -> Ending:
        await self._wanted.wait()
        line = self._line = await self._connection.begin(self.name, self._actor, self._program)
        hung: asyncio.TimerHandle | None = None
        try:
            await line.attached.wait()
            self._writer = line
            loop = asyncio.get_running_loop()
            hung = loop.call_later(self._longest_start, self._end_hung, line)
            await self._listen(line.reader)
            if line.ending is None:  # it sent something malformed
                line.close("restart")
        finally:
            if hung is not None:
                hung.cancel()
            self._writer = None
            self._line = None
            if line.ending is None:
                line.close("release")
            ending = line.ending or Ending.by_exit(0)
            self._lose(ending)
        return ending

    def _end_hung(self, line: Line) -> None:
        """End the process if it is not ready by now."""
        if not self._is_ready:
            text = "worker %s is not ready after %.0f s and is ended"
            _log.error(text, self.name, self._longest_start)
            line.close("restart")
