"""Brings runs from the queue to the workers and writes down what becomes of them."""

import asyncio
import logging
from contextlib import aclosing, suppress
from dataclasses import dataclass

from nodegraph.choices import PreviewMethod
from nodegraph.errors import NodeGraphError
from server.audience import Audience, method_of
from server.bus import Bus, Message
from server.errors import (
    DrainingError,
    RunParkedError,
    RunStateError,
    StorageError,
    UnknownRunError,
    WorkerLostError,
)
from server.lineup import Lineup
from server.logs import note
from server.metrics import Metrics
from server.positions import Positions
from server.recorder import PAUSE, Recorder
from server.scheduler import Assignment, Slot, Waiting, pick
from server.store.runs import Accepted, NewRun, Run, Which
from server.store.store import Store
from server.workers.worker import Order, Worker

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How many workers a run may kill."""


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
        previews: how they are made where a run does not say so.
        metrics: count what happens.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        previews: PreviewMethod = "latent2rgb",
        metrics: Metrics | None = None,
    ) -> None:
        self.store = store
        self.bus = bus
        self.metrics = metrics or Metrics()
        self.recorder = Recorder(store, bus, self.metrics)
        self.workers: list[Worker] = []
        self.draining = False
        self._lineup = Lineup()
        self.metrics.watch_queue(lambda: self._lineup.depths)
        self._positions = Positions(bus, self._lineup)
        self._audience = Audience(bus)
        self._previews: PreviewMethod = previews
        self._active: dict[str, _Active] = {}
        self._withdrawn: set[str] = set()
        """Runs that were taken out of the queue, while that is written down."""
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Go on where the last server stopped: what it was running runs again."""
        for run in await self.store.runs(Which(states=["running"]), oldest_first=True):
            await self.store.requeue(run.id, "the server was stopped")
        for run in await self.store.runs(Which(states=["queued"]), oldest_first=True):
            self._lineup.add(_waiting(run))
        for worker in self.workers:
            await worker.start()
        self._tasks = [asyncio.create_task(work) for work in (self._run(), self._positions.run())]
        self.wake()

    @property
    def alive(self) -> bool:
        """Whether it brings runs to workers; if not, that is a mistake of ours."""
        return not any(task.done() for task in self._tasks)

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
        run = accepted.run
        elsewhere = run.id in self._active or run.id in self._withdrawn
        if run.state == "queued" and not elsewhere:
            self._lineup.add(_waiting(run))
        if accepted.event:
            self.recorder.tell(run, [accepted.event])
            self._changed(run.owner)
        return accepted

    async def retry(self, run_id: str) -> Run:
        """Put an unsuccessful run into the queue once more; raises what `Store.retry` raises."""
        run, event = await self.store.retry(run_id)
        self._lineup.add(_waiting(run))
        self.recorder.tell(run, [event])
        self._changed(run.owner)
        return run

    async def cancel(self, run_id: str) -> bool:
        """Stop a run, or take it out of the queue; False if it is over, or there is none.

        Raises:
            StorageError: that could not be written down; the run still waits.
        """
        active = self._active.get(run_id)
        if active:
            active.cancelled = True
            with suppress(WorkerLostError):
                await active.worker.cancel(run_id)
            return True
        return await self.withdraw(run_id)

    async def withdraw(self, run_id: str) -> bool:
        """Take a run out of the queue; False if it does not wait there."""
        waiting = self._lineup.remove(run_id)
        if waiting is None:
            return False
        self._withdrawn.add(run_id)
        try:
            await self.recorder.end_once(run_id, "cancelled")
        except StorageError:
            self._lineup.add(waiting)
            raise
        finally:
            self._withdrawn.discard(run_id)
        self._changed(waiting.owner)
        return True

    async def clear(self, owner: str) -> None:
        """Take everything of an owner out of the queue; what runs goes on."""
        await asyncio.gather(*(self.withdraw(run_id) for run_id in self.queue(owner)))

    def queue(self, owner: str | None = None) -> list[str]:
        """The runs that wait, next first; of one owner if that is said."""
        return [run.id for run in self._lineup if owner in (None, run.owner)]

    def position(self, run_id: str, owner: str) -> int | None:
        """How many runs will begin before one of an owner's; None if it does not wait."""
        run = self._lineup.find(run_id)
        return self._lineup.position(run_id) if run and run.owner == owner else None

    def running(self) -> list[Run]:
        """The runs that are being computed, in the order in which they began."""
        return [active.run for active in self._active.values()]

    def remaining(self, owner: str) -> int:
        """How many runs of an owner are not over."""
        running = sum(active.run.owner == owner for active in self._active.values())
        return self._lineup.count(owner) + running

    async def drain(self, seconds: float) -> bool:
        """Take nothing new and let what runs finish; whether all of it did in that time."""
        self.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while tasks := [active.task for active in self._active.values() if active.task]:
                    await asyncio.wait(tasks)
        return not self._active

    async def stop(self) -> None:
        """End at once; what runs is run again by the next server."""
        self.draining = True
        following = [active.task for active in self._active.values() if active.task]
        for task in (tasks := [*self._tasks, *following]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
                    await asyncio.sleep(PAUSE)
                except Exception:  # noqa: BLE001 - the others have to run, whatever is with this one
                    _log.exception("run %s can not be begun", chosen.run)
                    self._lineup.remove(chosen.run)
                    with suppress(NodeGraphError):  # the store's: the next start sees to it
                        await self.recorder.end_once(chosen.run, "failed")

    def _pick(self) -> Assignment | None:
        slots = [self._slot(worker) for worker in self.workers if worker.ready]
        if not len(self._lineup) or not any(slot.free for slot in slots):
            return None
        return pick(self._lineup, slots)

    def _slot(self, worker: Worker) -> Slot:
        runs = [active.run for active in self._active.values() if active.worker is worker]
        alone = any(run.suspect for run in runs)
        return Slot(worker.name, worker.slots - len(runs), len(runs), alone)

    async def _launch(self, chosen: Assignment) -> None:
        worker = next(worker for worker in self.workers if worker.name == chosen.worker)
        try:
            run = await self.store.begin(chosen.run, worker.name)
        except (RunStateError, UnknownRunError):  # cancelled meanwhile, or even forgotten
            self._lineup.remove(chosen.run)
            return
        if self._lineup.serve(run.id) is None:  # about to be cancelled
            return
        self._positions.change()
        self.metrics.run_begun(run)
        active = self._active[run.id] = _Active(run, worker)
        active.task = asyncio.create_task(self._follow(active))

    async def _follow(self, active: _Active) -> None:
        """See one attempt at a run to its end."""
        run = active.run
        note(run=run.id, worker=active.worker.name)
        try:
            await self._attempt(active)
        except WorkerLostError as error:
            await self._lost(active, error)
        except NodeGraphError as error:
            await self.recorder.end(run, "failed", {"error": error.as_dict()})
        except Exception as error:  # noqa: BLE001 - a run must not seem to run for ever
            _log.exception("run %s failed in the server itself", run.id)
            failure = NodeGraphError(f"{type(error).__name__} in the server.", hint="See its log.")
            await self.recorder.end(run, "failed", {"error": failure.as_dict()})
        finally:
            self._active.pop(run.id, None)
            self._audience.end(run.id)
            self._changed(run.owner)

    async def _attempt(self, active: _Active) -> None:
        run = active.run
        work = await self.store.work(run.id)
        if active.cancelled:
            await self.recorder.end(run, "cancelled")
            return
        looked_at = self._audience.begin(run, active.worker)
        method = method_of(work, self._previews)
        order = Order(run.id, run.attempts, work, run.owner, method, looked_at)
        async with aclosing(active.worker.run(order)) as batches:
            async for reports in batches:
                await self.recorder.take(run, reports)

    async def _lost(self, active: _Active, error: WorkerLostError) -> None:
        """A worker died: its run is tried again, unless it was that run's doing too often."""
        run, charged = active.run, error.together == 1
        deaths = run.deaths + charged
        if not active.cancelled and deaths >= ATTEMPTS:
            parked = RunParkedError(deaths, error.reason)
            await self.recorder.end(run, "failed", {"error": parked.as_dict()})
            return
        if not active.cancelled:
            suspect = error.together > 0
            run = await self.recorder.requeue(run, error.reason, suspect=suspect, charged=charged)
        if active.cancelled:  # before, or while that was written
            await self.recorder.end(run, "cancelled")
        else:
            self._lineup.add(_waiting(run))

    def _changed(self, owner: str) -> None:
        """An owner's queue is another: its listeners want to know, and a worker may be free."""
        remaining = {"remaining": self.remaining(owner)}
        self.bus.publish(Message("queue", owner=owner, data=remaining))
        self._positions.change()
        self.wake()


def _waiting(run: Run) -> Waiting:
    place = (run.priority, run.number, run.seq)
    return Waiting(run.id, run.client, *place, suspect=run.suspect, owner=run.owner)
