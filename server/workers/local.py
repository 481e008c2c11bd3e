"""A worker in a process of its own on this machine."""

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.cache import Stats
from nodegraph.naming import NumberedFile
from nodegraph.setting_layers import variable
from server.devices import Device
from server.errors import WorkerLostError
from server.metrics import Metrics
from server.wire import BrokenWireError, Frame, pack, read_frame
from server.workers.endings import describe_exit, signal_of, wait_for_exit, watch
from server.workers.inbox import Inbox
from server.workers.output import Output
from server.workers.pack_socket import PackSocket
from server.workers.worker import Order, Report

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds until a process that died is started again; doubled each time it dies without work."""
LONGEST_START = 300.0
"""Seconds that a process may take to be ready; then it counts as hung."""
_OURS = variable("server.")
_LIMIT = 2**20

Namer = Callable[[Mapping[str, Any]], Awaitable[NumberedFile | None]]
"""Answers what a worker asks about a file's number; see `server.worker.naming`."""


@dataclass(frozen=True, slots=True)
class ServerHooks:
    """What a worker has of its server."""

    namer: Namer
    """Answers its questions."""
    metrics: Metrics
    """Are told how it does."""
    changed: Callable[[], None]
    """Is called when it becomes ready, and when it is no longer."""


class LocalWorker:
    """Keeps a worker process running, and starts it again when it dies.

    Args:
        device: what it computes on, and is called after.
        options: what its program is told first: `flags`, as the command line has them, and
            `log_levels`.
        hooks: what it has of the server.
        slots: how many runs it has at once.
        longest_start: seconds that it may take to be ready.
    """

    def __init__(
        self,
        device: Device,
        options: Mapping[str, Any],
        hooks: ServerHooks,
        *,
        slots: int = 1,
        longest_start: float = LONGEST_START,
    ) -> None:
        self.name = device.name
        self.slots = slots
        self.ready = False
        self.device: Mapping[str, Any] = {}
        self.restarts = 0
        self.pid: int | None = None
        self._environment = device.environment
        self._worked = False
        self._options = options
        self._hooks = hooks
        self._longest_start = longest_start
        self._runs: dict[str, Inbox] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._questions: set[asyncio.Task[None]] = set()
        self._pack_socket = PackSocket(self._send)

    async def start(self) -> None:
        """Bring it up; returns before it is ready."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def run(self, order: Order) -> AsyncGenerator[Sequence[Report]]:
        """Compute a run: what it reports, as many at a time as there are."""
        inbox = self._runs[order.run] = Inbox()
        self._worked = self.ready
        try:
            await self._send(
                {
                    "op": "run",
                    "run": order.run,
                    "prompt": order.work.prompt,
                    "targets": list(order.work.targets),
                    "extra": order.work.extra,
                    "owner": order.owner,
                    "previews": order.previews,
                    "looked_at": order.looked_at,
                }
            )
            done = False
            while not done:
                batch = await inbox.take()
                done = batch[-1].name == "done"
                yield batch
        finally:
            inbox.close()
            self._runs.pop(order.run, None)

    async def cancel(self, run: str) -> None:
        """Stop a run as soon as it can be."""
        if run in self._runs:
            await self._send({"op": "cancel", "run": run})

    def set_looked_at(self, run: str, looked_at: bool) -> None:
        """From now on somebody looks at a run's previews, or nobody."""
        if run in self._runs and self._writer is not None:
            self._writer.write(pack(Frame({"op": "look", "run": run, "looked_at": looked_at})))

    async def reload(self) -> None:
        """Let it read packs again whose files have changed; a new process does so anyhow."""
        if self.ready:
            await self._send({"op": "reload"})

    async def pack_socket(self) -> Path:
        """The socket on which its packs answer requests of their own.

        Raises:
            WorkerLostError: it is gone.
        """
        return await self._pack_socket.path()

    async def free(self) -> None:
        """Let it forget its results, and the models that no run holds."""
        if self.ready:
            await self._send({"op": "free"})

    async def stop(self) -> None:
        """End it: closing the socket is enough for a healthy one."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor

    async def _supervise(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._worked = False
            try:
                code = await self._live()
            except OSError as error:  # no descriptors, no memory for a process: later, perhaps
                pause = min(2 * pause, LONGEST_PAUSE)
                _log.error("worker %s can not be started: %s", self.name, error)
                await asyncio.sleep(pause)
                continue
            self.restarts += 1
            self._hooks.metrics.worker_restarted(self.name, signal_of(code) or "exit")
            pause = FIRST_PAUSE if self._worked else min(2 * pause, LONGEST_PAUSE)
            _log.warning(
                "worker %s died (%s), starts in %.1f s", self.name, describe_exit(code), pause
            )
            await asyncio.sleep(pause)

    async def _live(self) -> int:
        """One life of the process: the code with which it ended."""
        ours, theirs = socket.socketpair()
        try:
            with theirs, Output(self.name) as output:
                process = await self._spawn(theirs, output)
        except OSError:
            ours.close()
            raise
        await output.follow()
        self.pid = process.pid
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=_LIMIT)
        loop = asyncio.get_running_loop()
        hung = loop.call_later(self._longest_start, self._give_up, process)
        watching = asyncio.create_task(watch(process, reader))
        try:
            await self._send({"op": "start", **self._options})
            await self._listen(reader)
        finally:
            hung.cancel()
            watching.cancel()
            self._writer.close()
            self._writer = None
            code = await wait_for_exit(process)
            output.close()
            self._lose(describe_exit(code))
        return code

    async def _spawn(self, theirs: socket.socket, output: Output) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "faulthandler", "-m", "server.worker", str(theirs.fileno())),
            pass_fds=[theirs.fileno()],
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the server, which lets it finish
            stdout=output.end,
            stderr=output.end,
            env=self._variables(),
        )

    def _variables(self) -> dict[str, str]:
        """Its environment: ours, but what is the server's alone."""
        ours = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        return ours | dict(self._environment)

    def _give_up(self, process: Process) -> None:
        """Kill it if it is not ready by now."""
        if not self.ready:
            _log.error("worker %s is not ready after %.0f s", self.name, self._longest_start)
            process.kill()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Take what it says until it is gone, or says what means nothing."""
        try:
            while (frame := await read_frame(reader)) is not None:
                await self._handle(frame)
        except (BrokenWireError, LookupError, TypeError) as error:
            _log.error("worker %s says what means nothing: %r", self.name, error)

    async def _handle(self, frame: Frame) -> None:
        body = frame.body
        match body["op"]:
            case "ready":
                self.ready, self.device = True, body["device"]
                self._hooks.changed()
            case "device":
                self.device = body["device"]
            case "event":
                event = body["event"]
                await self._report(body["run"], Report(event["event"], event, frame.data))
            case "done":
                await self._report(body["run"], Report("done", body))
            case "opened":
                self._pack_socket.mark_open()
            case "model" | "memory" | "cache" | "log":
                self._note(body)
            case "name" | "taken":
                question = asyncio.create_task(self._answer(body))
                self._questions.add(question)
                question.add_done_callback(self._questions.discard)
            case unknown:
                _log.error("worker %s says %r, which means nothing", self.name, unknown)

    def _note(self, body: Mapping[str, Any]) -> None:
        """Something about itself."""
        if body["op"] == "model":
            self._hooks.metrics.model_used(body["seconds"])
        elif body["op"] == "memory":
            self._hooks.metrics.gpu_memory(self.name, body["used"])
        elif body["op"] == "cache":
            self._hooks.metrics.result_cache(self.name, Stats(**body["stats"]))
        else:
            record = logging.makeLogRecord({**body["record"], "worker": self.name})
            logging.getLogger(record.name).handle(record)

    async def _report(self, run: str, report: Report) -> None:
        if run in self._runs:
            await self._runs[run].put(report)

    async def _answer(self, body: Mapping[str, Any]) -> None:
        try:
            named = await self._hooks.namer(body)
        except Exception as error:  # noqa: BLE001 - the run waits for an answer, whatever it is
            _log.exception("a file of run %s can not be named", body["run"])
            answer: dict[str, Any] = {"error": f"its file can not be named: {error}"}
        else:
            if named is None:
                return
            answer = {"path": str(named.path), "number": named.number, "again": named.again}
        with suppress(WorkerLostError):
            await self._send({"op": "named", "question": body["question"], **answer})

    async def _send(self, body: Mapping[str, Any]) -> None:
        """Say something; nobody hears it if the process is gone, which shows soon enough."""
        if self._writer is None:
            reason = "it is being started again"
            raise WorkerLostError(reason, together=0)
        with suppress(ConnectionError):
            self._writer.write(pack(Frame(body)))
            await self._writer.drain()

    def _lose(self, reason: str) -> None:
        self._pack_socket.lose(WorkerLostError(reason, together=0))
        together = len(self._runs)
        for inbox in self._runs.values():
            inbox.lose(WorkerLostError(reason, together))
        if self.ready:
            self.ready, self.device = False, {}
            self._hooks.changed()
