"""A worker in a separate process on this machine."""

import asyncio
import logging
from asyncio.subprocess import Process
from collections.abc import Mapping
from typing import Any

from server.workers.devices import Device
from server.workers.output import log_output
from server.workers.process import LONGEST_START, LONGEST_WARM_START, ChildProcess, Ending
from server.workers.process_worker import ProcessWorker, ServerHooks

_PROGRAM = "server.worker_process"
_log = logging.getLogger(__name__)


class LocalWorker(ProcessWorker):
    """A worker in a process on this machine, which is restarted when it dies.

    Args:
        device: the device it computes on; the worker has its name.
        options: the options of its program: `flags` of the command line, and `log_levels`; if it
            runs workflows before it is ready, `warm` and `keep`, too.
        hooks: the parts of the server that it calls.
        slots: the number of runs that it computes at once.
        longest_start: seconds that its process may take to be ready; if None, as its options ask.
    """

    def __init__(
        self,
        device: Device,
        options: Mapping[str, Any],
        hooks: ServerHooks,
        *,
        slots: int = 1,
        longest_start: float | None = None,
    ) -> None:
        super().__init__(device.name, hooks, slots=slots, on_card=":" in device.name)
        self.pid: int | None = None
        self._environment = device.environment
        self._options = options
        own = LONGEST_WARM_START if options.get("warm") else LONGEST_START
        self._longest_start = own if longest_start is None else longest_start

    @property
    def warming(self) -> bool:
        """True while its first process runs the workflows that it is to be warm for."""
        return bool(self._options.get("warm")) and not self.ready and not self.restarts

    async def _live(self) -> Ending:
        child = await ChildProcess.start(_PROGRAM, self._environment, log_output(self.name))
        self.pid, self._writer = child.process.pid, child.writer
        loop = asyncio.get_running_loop()
        hung = loop.call_later(self._longest_start, self._give_up, child.process)
        try:
            await self._send({"op": "start", **self._options})
            await self._listen(child.reader)
        finally:
            hung.cancel()
            self._writer = None
            ending = Ending.by_exit(await child.end())
            self._lose(ending)
        return ending

    def _give_up(self, process: Process) -> None:
        """Kill the process if it is not ready by now."""
        if not self.ready:
            _log.error(
                "worker %s is not ready after %.0f s and is killed", self.name, self._longest_start
            )
            process.kill()
