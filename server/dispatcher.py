"""Brings runs from the queue to the workers and writes down what becomes of them."""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nodegraph.naming import Named, Place
from server.bus import Bus, Message
from server.errors import DrainingError, RunParkedError, StorageError, WorkerLostError
from server.scheduler import Assignment, Slot, Waiting, order, pick
from server.store.runs import Accepted, File, Milestone, NewRun, Run, State
from server.store.store import Store
from server.workers.worker import Order, Report, Worker

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How many workers a run may kill."""
PASSING = ("progress", "preview")
"""Events that are not kept."""
_OVER = ("run_finished", "run_failed", "run_cancelled")
_ENDS: Mapping[State, str] = {
    "succeeded": "run_finished",
    "failed": "run_failed",
    "cancelled": "run_cancelled",
}
_PAUSE = 1.0


@dataclass(slots=True)
class _Active:
    run: Run
    worker: Worker
    task: asyncio.Task[None] | None = None
    cancelled: bool = False


class Dispatcher:
    """Obeys the scheduler.

    Args:
        store: where everything is written down first.
        bus: where it is told then.
    """

    def __init__(self, store: Store, bus: Bus) -> None:
        self.store = store
        self.bus = bus
        self.workers: list[Worker] = []
        self.draining = False
        self._waiting: dict[str, Waiting] = {}
        self._active: dict[str, _Active] = {}
        self._served: dict[str, int] = {}
        self._turns = 0
        self._wake = asyncio.Event()
        self._loop: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the last server stopped: what it was running runs again."""
        for run in await self.store.runs(("running",), oldest_first=True):
            await self.store.requeue(run.id, "the server was stopped")
        for run in await self.store.runs(("queued",), oldest_first=True):
            self._waiting[run.id] = _waiting(run)
        for worker in self.workers:
            await worker.start()
        self._loop = asyncio.create_task(self._run())
        self.wake()

    def wake(self) -> None:
        """See what can be done."""
        self._wake.set()

    async def submit(self, new: NewRun) -> Accepted:
        """Accept a run; it is on the disk when this returns.

        Raises:
            DrainingError: the server is shutting down.
            ServerError: see `Store.accept`.
        """
        if self.draining:
            raise DrainingError
        accepted = await self.store.accept(new)
        if accepted.event:
            self._waiting[new.id] = _waiting(accepted.run)
            self._tell(accepted.run, [accepted.event])
            self._changed()
        return accepted

    async def retry(self, run_id: str) -> Run:
        """Put an unsuccessful run into the queue once more; raises what `Store.retry` raises."""
        run, event = await self.store.retry(run_id)
        self._waiting[run.id] = _waiting(run)
        self._tell(run, [event])
        self._changed()
        return run

    async def cancel(self, run_id: str) -> bool:
        """Stop a run, or take it out of the queue; False if it is over, or there is none."""
        active = self._active.get(run_id)
        if active:
            active.cancelled = True
            with suppress(WorkerLostError):
                await active.worker.cancel(run_id)
            return True
        if self._waiting.pop(run_id, None) is None:
            return False
        await self._end(run_id, "cancelled")
        self._changed()
        return True

    async def clear(self) -> None:
        """Take everything out of the queue; what runs goes on."""
        for run_id in list(self._waiting):
            await self.cancel(run_id)

    def queue(self) -> list[str]:
        """The runs that wait, next first."""
        return [run.id for run in order(self._waiting.values(), self._served)]

    def running(self) -> list[Run]:
        """The runs that are being computed, in the order in which they began."""
        return [active.run for active in self._active.values()]

    @property
    def remaining(self) -> int:
        """How many runs are not over."""
        return len(self._waiting) + len(self._active)

    async def name(self, body: Mapping[str, Any]) -> Named | None:
        """Answer what a worker asks about a file's number."""
        file = File(body["run"], body["node"], body["position"])
        if body["op"] == "taken":
            await self.store.unname_file(file)
            return None
        folder, stem, suffix = body["place"]
        return await self.store.name_file(file, Place(Path(folder), stem, suffix), body["first"])

    async def drain(self, seconds: float) -> bool:
        """Take nothing new and let what runs finish; whether all of it did in that time."""
        self.draining = True
        tasks = [active.task for active in self._active.values() if active.task]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        return not self._active

    async def stop(self) -> None:
        """End at once; what runs is run again by the next server."""
        self.draining = True
        tasks = [self._loop, *(active.task for active in self._active.values())]
        for task in tasks:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
        for worker in self.workers:
            await worker.stop()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not self.draining and (chosen := self._pick()):
                try:
                    await self._launch(chosen)
                except StorageError as error:
                    _log.error("%s", error)
                    await asyncio.sleep(_PAUSE)

    def _pick(self) -> Assignment | None:
        slots = [self._slot(worker) for worker in self.workers if worker.ready]
        if not self._waiting or not any(slot.free for slot in slots):
            return None
        return pick(order(self._waiting.values(), self._served), slots)

    def _slot(self, worker: Worker) -> Slot:
        runs = [active.run for active in self._active.values() if active.worker is worker]
        alone = any(run.suspect for run in runs)
        return Slot(worker.name, worker.slots - len(runs), len(runs), alone)

    async def _launch(self, chosen: Assignment) -> None:
        worker = next(worker for worker in self.workers if worker.name == chosen.worker)
        run = await self.store.begin(chosen.run, worker.name)
        if self._waiting.pop(run.id, None) is None:  # cancelled meanwhile
            return
        self._turns += 1
        self._served[run.client] = self._turns
        active = self._active[run.id] = _Active(run, worker)
        active.task = asyncio.create_task(self._follow(active))

    async def _follow(self, active: _Active) -> None:
        """See one attempt at a run to its end."""
        run = active.run
        try:
            work = await self.store.work(run.id)
            async for reports in active.worker.run(Order(run.id, run.attempts, work)):
                await self._take(run, reports)
        except WorkerLostError as error:
            await self._lost(active, error)
        finally:
            self._active.pop(run.id, None)
            self._changed()

    async def _take(self, run: Run, reports: Sequence[Report]) -> None:
        """Write down what is worth it, then tell everything in order."""
        kept = [(r.name, r.data) for r in reports if r.name not in (*PASSING, *_OVER, "done")]
        milestones = iter(await self.store.add_events(run.id, kept) if kept else [])
        for report in reports:
            if report.name in PASSING:
                self._publish(run, Message(report.name, data=report.data, payload=report.payload))
            elif report.name == "done":
                await self._end(run.id, report.data["state"], report.data)
            elif report.name not in _OVER:
                self._tell(run, [next(milestones)])

    async def _end(self, run_id: str, state: State, data: Mapping[str, Any] | None = None) -> None:
        facts = {k: v for k, v in (data or {}).items() if k in ("error", "executed", "cached")}
        ended = await self.store.end(run_id, state, (_ENDS[state], facts), facts.get("error"))
        if ended:
            self._tell(ended[0], [ended[1]])

    async def _lost(self, active: _Active, error: WorkerLostError) -> None:
        """A worker died: its run is tried again, unless it was that run's doing too often."""
        run, charged = active.run, error.together == 1
        deaths = run.deaths + charged
        if active.cancelled:
            await self._end(run.id, "cancelled")
        elif deaths >= ATTEMPTS:
            parked = RunParkedError(deaths, error.reason)
            await self._end(run.id, "failed", {"error": parked.as_dict()})
        else:
            run, event = await self.store.requeue(
                run.id, error.reason, suspect=True, charged=charged
            )
            self._waiting[run.id] = _waiting(run)
            self._tell(run, [event])

    def _tell(self, run: Run, milestones: Collection[Milestone]) -> None:
        for event in milestones:
            self._publish(
                run, Message(event.name, id=event.id, sequence=event.sequence, data=event.data)
            )

    def _publish(self, run: Run, message: Message) -> None:
        self.bus.publish(message.about(run.id, run.client))

    def _changed(self) -> None:
        """The queue is another: everybody may want to know, and a worker may be free."""
        self.bus.publish(Message("queue", data={"remaining": self.remaining}))
        self.wake()


def _waiting(run: Run) -> Waiting:
    return Waiting(run.id, run.client, run.priority, run.number, run.seq, run.suspect)
