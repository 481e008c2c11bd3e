"""A worker that is a process of our own, wherever it runs: what it is told, and what it tells."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nodegraph.cache.protocol import Stats
from nodegraph.files.file_names import NumberedFile
from nodegraph.runtime.model_pool import PoolStats
from server.errors import WorkerLostError
from server.observability.metrics import Metrics
from server.observability.observer import ModelUse
from server.workers.inbox import Inbox
from server.workers.pack_socket import PackSocket
from server.workers.process import Ending
from server.workers.questions import About, Questions
from server.workers.wire import BrokenWireError, Frame, FrameReader, pack
from server.workers.worker import Order, Report

_log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
"""Seconds until a dead process is restarted; doubled each time it dies before it had a run."""

Namer = Callable[[Mapping[str, Any]], Awaitable[NumberedFile | None]]
"""Answers a worker's question about the number of a file."""


@dataclass(frozen=True, slots=True)
class ServerHooks:
    """The parts of the server that a worker calls."""

    namer: Namer
    """Answers its questions about file numbers."""
    metrics: Metrics
    """Counts its restarts and memory, and knows its caches."""
    changed: Callable[[], None]
    """Called when the worker becomes ready, and when it no longer is."""
    model_used: Callable[[ModelUse], None]
    """Called when one of its runs uses a network for the first time."""


class Writer(Protocol):
    """The way to a process."""

    def write(self, data: bytes) -> None:
        """Send bytes, now or soon, in their order."""
        ...

    async def drain(self) -> None:
        """Wait until more may be written.

        Raises:
            ConnectionError: the process is gone.
        """
        ...


class ProcessWorker(ABC):
    """A worker in a process, which is restarted when it dies.

    Args:
        name: the name of the worker.
        hooks: the parts of the server that it calls.
        slots: the number of runs that it computes at once.
        on_card: True if it is for a card, so that computing on the processor is worth an error.
    """

    def __init__(
        self, name: str, hooks: ServerHooks, *, slots: int = 1, on_card: bool = False
    ) -> None:
        self.name = name
        self.server = ""
        self.slots = slots
        self.device: Mapping[str, Any] = {}
        self.models: Collection[str] = ()
        self.restarts = 0
        self._is_ready = False
        self._on_card = on_card
        self._worked = False
        self._hooks = hooks
        self._runs: dict[str, Inbox] = {}
        self._writing: set[str] = set()
        self._writer: Writer | None = None
        self._supervisor: asyncio.Task[None] | None = None
        self._questions: set[asyncio.Task[None]] = set()
        self._pack_socket = PackSocket(self._send)
        self._asked = Questions(self._send)

    @property
    def ready(self) -> bool:
        """True if it accepts runs now."""
        return self._is_ready

    @property
    def writing(self) -> Collection[str]:
        """The runs that only write their files."""
        return self._writing

    async def start(self) -> None:
        """Start the process; return before it is ready."""
        self._supervisor = asyncio.create_task(self._supervise())

    async def run(self, order: Order) -> AsyncGenerator[Sequence[Report]]:
        """Compute a run and yield its reports, as many at a time as are there."""
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
                    "client": order.client,
                    "previews": order.previews,
                    "looked_at": order.watched,
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
            self._writing.discard(order.run)

    async def cancel(self, run: str) -> None:
        """Stop a run as soon as possible."""
        if run in self._runs:
            await self._send({"op": "cancel", "run": run})

    def set_watched(self, run: str, watched: bool) -> None:
        """Turn previews of a run on or off, as somebody watches it or nobody does."""
        if run in self._runs and self._writer is not None:
            self._writer.write(pack(Frame({"op": "look", "run": run, "looked_at": watched})))

    async def expect(self, prompt: Mapping[str, Any]) -> None:
        """Have it read the files of the graph that it will probably compute next."""
        if self.ready:
            await self._send({"op": "expect", "prompt": prompt})

    async def reload(self) -> None:
        """Have it reload packs whose files have changed; a new process loads them anyway."""
        if self.ready:
            await self._send({"op": "reload"})

    async def pack_socket(self) -> Path:
        """Return the socket on which its packs answer requests.

        Raises:
            WorkerLostError: the process is dead.
        """
        return await self._pack_socket.path()

    async def ask(
        self, about: About, question: Mapping[str, Any], patience: float
    ) -> Mapping[str, Any]:
        """Return its packs' answer to a question about a prompt.

        Raises:
            WorkerLostError: the process is dead.
            TimeoutError: it did not answer within `patience` seconds.
        """
        return await self._asked.ask(about, question, patience)

    async def free(self) -> None:
        """Have it clear its result cache, which frees the models that no run uses."""
        if self.ready:
            await self._send({"op": "free"})

    async def stop(self) -> None:
        """End the process; a healthy one exits when its socket is closed."""
        if self._supervisor is not None:
            self._supervisor.cancel()
            with suppress(asyncio.CancelledError):
                await self._supervisor

    async def _supervise(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._worked = False
            try:
                ending = await self._live()
            except OSError as error:  # out of file descriptors or memory: try again later
                pause = min(2 * pause, LONGEST_PAUSE)
                _log.error("worker %s could not be started: %s", self.name, error)
                await asyncio.sleep(pause)
                continue
            self.restarts += 1
            self._hooks.metrics.worker_restarted(self.name, ending.kind)
            pause = FIRST_PAUSE if self._worked else min(2 * pause, LONGEST_PAUSE)
            _log.warning(
                "worker %s died (%s); it restarts in %.1f s", self.name, ending.reason, pause
            )
            await asyncio.sleep(pause)

    @abstractmethod
    async def _live(self) -> Ending:
        """Run the process until it ends, and return how it ended.

        Raises:
            OSError: it could not be started.
        """

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Handle its messages until it is gone, or sends something malformed."""
        frames = FrameReader(reader)
        try:
            while (frame := await frames.next()) is not None:
                await self._handle(frame)
        except (BrokenWireError, LookupError, TypeError) as error:
            _log.error("worker %s sent a malformed message: %r", self.name, error)

    async def _handle(self, frame: Frame) -> None:
        body = frame.body
        match body["op"]:
            case "ready":
                self._is_ready, self.device = True, body["device"]
                self._hooks.changed()
            case "device":
                self._note_device(body["device"])
            case "event":
                event = body["event"]
                await self._report(body["run"], Report(event["event"], event, frame.data))
            case "done":
                await self._report(body["run"], Report("done", body))
            case "opened" | "answer":
                self._take_reply(body)
            case "model" | "memory" | "cache" | "log" | "retire" | "writing":
                self._note(body)
            case "name" | "taken":
                question = asyncio.create_task(self._answer(body))
                self._questions.add(question)
                question.add_done_callback(self._questions.discard)
            case unknown:
                _log.error("worker %s sent an unknown message: %r", self.name, unknown)

    def _take_reply(self, body: Mapping[str, Any]) -> None:
        """Hand on what it replies to a message."""
        if body["op"] == "opened":
            self._pack_socket.mark_open()
        else:
            self._asked.take_answer(body)

    def _note(self, body: Mapping[str, Any]) -> None:
        """Handle a message that is no report of a run."""
        if body["op"] == "model":
            self._hooks.model_used(ModelUse(**body["use"]))
        elif body["op"] == "memory":
            self._hooks.metrics.gpu_memory(self.name, body["used"])
        elif body["op"] == "retire":
            self._retire()
        elif body["op"] == "writing":
            self._note_writing(body["run"])
        elif body["op"] == "cache":
            results, weights = Stats.from_data(body["results"]), PoolStats(**body["weights"])
            self.models = frozenset(body["files"])
            self._hooks.metrics.caches(self.name, results, weights)
        else:
            record = logging.makeLogRecord({**body["record"], "worker": self.name})
            logging.getLogger(record.name).handle(record)

    def _note_device(self, device: Mapping[str, Any]) -> None:
        """Remember the device that it computes on, and tell if that is not the card it is for."""
        self.device = device
        if self._on_card and device["type"] == "cpu":
            _log.error(
                "worker %s does not find its card and computes on the processor, which is slow;"
                " see if the driver shows it, and restart the server when it does",
                self.name,
            )

    def _note_writing(self, run: str) -> None:
        if run in self._runs:
            self._writing.add(run)
            self._hooks.changed()

    async def _report(self, run: str, report: Report) -> None:
        if run in self._runs:
            await self._runs[run].put(report)

    async def _answer(self, body: Mapping[str, Any]) -> None:
        try:
            named = await self._hooks.namer(body)
        except Exception as error:  # noqa: BLE001 - the run waits for an answer in any case
            _log.exception("a file of run %s could not be named", body["run"])
            answer: dict[str, Any] = {"error": f"its file could not be named: {error}"}
        else:
            if named is None:
                return
            answer = {"path": str(named.path), "number": named.number, "again": named.again}
        with suppress(WorkerLostError):
            await self._send({"op": "named", "question": body["question"], **answer})

    async def _send(self, body: Mapping[str, Any]) -> None:
        """Send a message; it is lost if the process has just died, which is noticed elsewhere."""
        if self._writer is None:
            reason = "it is being restarted"
            raise WorkerLostError(reason, together=0)
        with suppress(ConnectionError):
            self._writer.write(pack(Frame(body)))
            await self._writer.drain()

    def _lose(self, ending: Ending) -> None:
        lost = WorkerLostError(ending.reason, together=0)
        self._pack_socket.lose(lost)
        self._asked.lose(lost)
        together = len(self._runs) if ending.charged else 0
        for inbox in self._runs.values():
            inbox.lose(WorkerLostError(ending.reason, together))
        self._retire()

    def _retire(self) -> None:
        """Give it no more runs, until a new process is ready."""
        if self._is_ready:
            self._is_ready, self.device, self.models = False, {}, ()
            self._hooks.changed()
