"""Takes runs from the queue to the workers and records their results."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from nodegraph.errors import NodeGraphError
from nodegraph.runtime.choices import Placement, PreviewMethod
from server.errors import DrainingError, StorageError, UnknownRunError, WorkerLostError
from server.observability.metrics import Metrics
from server.observability.observer import ModelUse, Observer
from server.scheduling.active_run import ActiveRun
from server.scheduling.attempts import Attempts, Hooks
from server.scheduling.event_bus import Bus, Message
from server.scheduling.fair_queue import FairQueue
from server.scheduling.fresh_runs import FreshRuns
from server.scheduling.look_ahead import look_ahead
from server.scheduling.placing import Placing, queue_entry
from server.scheduling.positions import Positions
from server.scheduling.preview_demand import PreviewDemand
from server.scheduling.recorder import PAUSE, STOPPED, Recorder
from server.scheduling.scheduler import Assignment
from server.store.changes import now_ms
from server.store.runs import Accepted, Milestone, NewRun, Run, RunFilter
from server.store.store import Store
from server.workers.worker import Worker

_log = logging.getLogger(__name__)

HELD = 1.0
"""Seconds after which it is seen again if a run still waits for a busy worker."""


class Dispatcher:
    """Starts the runs that the scheduler picks, and follows each to its end.

    Args:
        store: records every change first.
        bus: publishes the change afterwards.
        previews: the preview method of runs that ask for none.
        metrics: counts runs and times.
        placement: what decides which of several workers gets a run.
        observers: hear of runs beside the metrics.
    """

    def __init__(
        self,
        store: Store,
        bus: Bus,
        previews: PreviewMethod = "latent2rgb",
        metrics: Metrics | None = None,
        placement: Placement = "models",
        observers: Sequence[Observer] = (),
    ) -> None:
        self.store = store
        self.bus = bus
        self.metrics = metrics or Metrics()
        self.recorder = Recorder(store, bus, (self.metrics, *observers))
        self.workers: list[Worker] = []
        self.draining = False
        self._queue = FairQueue()
        self.placing = Placing(self._queue, self.workers, placement)
        self._fresh = FreshRuns()
        self.metrics.watch_queue(lambda: self._queue.depths)
        self._positions = Positions(bus, self._queue)
        self.elsewhere: dict[str, Run] = {}
        """The runs that other servers compute, by id; none if this server is alone."""
        self.preview_demand = PreviewDemand(bus)
        hooks = Hooks(self._add, self._notify_change, self.wake, self._note_lost)
        self._attempts = Attempts(self.recorder, self.placing, self.preview_demand, previews, hooks)
        self._active = self._attempts.active
        self._withdrawn: set[str] = set()
        """Runs that have left the queue while the store records that they are cancelled."""
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Go on where the last server stopped: the runs that it was computing run again."""
        await self._recover()
        for run in await self.store.runs(RunFilter(states=["queued"]), oldest_first=True):
            self._add(run)
        self._warn_of_unknown_servers()
        for worker in self.workers:
            await worker.start()
        ahead = look_ahead(self._queue, self.store, self.workers, lambda: bool(self._active))
        works = (self._run(), self._positions.run(), ahead)
        self._tasks = [asyncio.create_task(work) for work in works]
        self.wake()

    @property
    def alive(self) -> bool:
        """True while runs are taken to workers; False is an error in the server itself."""
        return not any(task.done() for task in self._tasks)

    def wake(self) -> None:
        """Have the queue looked at again, because a run or a worker may have become available."""
        self._wake.set()

    def note_model(self, use: ModelUse) -> None:
        """Take note of a network that a worker uses: its load tells how long others will take."""
        self.recorder.note_model(use)
        if use.seconds is not None:
            self.placing.estimates.note_load(use.nbytes, use.seconds)

    async def submit(self, new: NewRun) -> Accepted:
        """Accept a run; it is stored on disk when this returns.

        Raises:
            DrainingError: the server is shutting down.
            ServerError: see `Store.accept`.
        """
        if self.draining:
            raise DrainingError
        accepted = await self.store.accept(new)
        await self._take_in(accepted, new)
        return accepted

    async def retry(self, run_id: str) -> Run:
        """Put an unsuccessful run into the queue once more; raises what `Store.retry` raises."""
        run, event = await self.store.retry(run_id)
        await self._take_back(run, event)
        return run

    async def cancel(self, run_id: str) -> bool:
        """Stop a run or take it out of the queue; False if it is over or does not exist.

        Raises:
            StorageError: the store could not record it; the run still waits.
        """
        return await self._cancel_active(run_id) or await self.withdraw(run_id)

    async def withdraw(self, run_id: str) -> bool:
        """Take a run out of the queue; False if it is not in the queue."""
        waiting = self._queue.remove(run_id)
        if waiting is None:
            return False
        self._withdrawn.add(run_id)
        self._fresh.take(run_id)
        try:
            await self.recorder.end_once(run_id, "cancelled")
        except StorageError:
            self._queue.add(waiting)
            raise
        finally:
            self._withdrawn.discard(run_id)
        self._notify_change(waiting.owner)
        return True

    async def clear(self, owner: str) -> None:
        """Take all runs of an owner out of the queue; active runs go on."""
        await asyncio.gather(*(self.withdraw(run_id) for run_id in self.queue(owner)))

    @property
    def waiting(self) -> int:
        """The number of waiting runs."""
        return len(self._queue)

    def queue(self, owner: str | None = None) -> list[str]:
        """Return the ids of the waiting runs, next first; of one owner, or of all."""
        return [run.id for run in self._queue if owner in (None, run.owner)]

    def position(self, run_id: str, owner: str) -> int | None:
        """Return the number of runs ahead of an owner's run; None if it is not in the queue."""
        run = self._queue.find(run_id)
        return self._queue.position(run_id) if run and run.owner == owner else None

    def active_runs(self) -> list[Run]:
        """Return the active runs, in the order in which they began; then those elsewhere."""
        return [*(active.run for active in self._active.values()), *self.elsewhere.values()]

    def remaining(self, owner: str) -> int:
        """Return the number of an owner's runs that wait or are active."""
        return self._queue.count(owner) + sum(run.owner == owner for run in self.active_runs())

    async def drain(self, seconds: float) -> bool:
        """Accept no more runs and let active ones finish; False if some take longer."""
        self.draining = True
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._attempts.finish()
        return not self._active

    async def stop(self) -> None:
        """Stop at once; the next server repeats the active runs."""
        self.draining = True
        for task in self._tasks:
            task.cancel()
        await self._attempts.stop()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for worker in self.workers:
            await worker.stop()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while not self.draining and not self._attempts.disk_fails and (chosen := self._pick()):
                try:
                    await self._launch(chosen)
                except StorageError as error:
                    _log.error("%s", error)
                    await asyncio.sleep(PAUSE)
                except Exception:  # noqa: BLE001 - the other runs have to go on
                    _log.exception("run %s could not be started", chosen.run)
                    self._queue.remove(chosen.run)
                    with suppress(NodeGraphError):  # from the store: the next start repairs it
                        await self.recorder.end_once(chosen.run, "failed")
            if self.placing.holds_back:
                asyncio.get_running_loop().call_later(HELD, self.wake)

    async def _recover(self) -> None:
        """Put the runs that the last server was computing back into the queue."""
        for run in await self.store.runs(RunFilter(states=["running"]), oldest_first=True):
            await self.store.requeue(run.id, STOPPED)
            self.recorder.note_given_up(run, STOPPED)

    async def _take_in(self, accepted: Accepted, new: NewRun, /) -> None:
        """Put a run that is stored into the queue in memory."""
        run = accepted.run
        elsewhere = run.id in self._active or run.id in self._withdrawn
        if run.state == "queued" and not elsewhere:
            self._add(run)
        if accepted.event:
            self._fresh.keep(accepted, new.work)
            self.recorder.publish(run, [accepted.event])
            self._notify_change(run.owner)

    async def _take_back(self, run: Run, event: Milestone, /) -> None:
        """Put a run that is to be tried again into the queue in memory."""
        self._add(run)
        self.recorder.publish(run, [event])
        self._notify_change(run.owner)

    async def _cancel_active(self, run_id: str) -> bool:
        """Stop a run that a worker computes; False if none does."""
        active = self._active.get(run_id)
        if active is None:
            return False
        active.cancelled = True
        with suppress(WorkerLostError):
            await active.worker.cancel(run_id)
        return True

    def _pick(self) -> Assignment | None:
        return self.placing.pick(self._active.values())

    async def _launch(self, chosen: Assignment) -> None:
        """Have the chosen worker compute a run."""
        worker = next(worker for worker in self.workers if worker.name == chosen.worker)
        try:
            fresh = self._fresh.take(chosen.run)
            run, work = fresh or await self.store.run_with_work(chosen.run)
        except UnknownRunError:  # deleted in the meantime
            self._queue.remove(chosen.run)
            return
        if run.state != "queued":  # another server has it
            self._queue.remove(run.id)
            self._note_lost(run.id)
            return
        waiting = self._queue.serve(run.id)
        if waiting is None:  # is being cancelled
            return
        self._positions.mark_changed()
        begun = replace(
            run,
            state="running",
            attempts=run.attempts + 1,
            worker=worker.name,
            started_ms=now_ms(),
        )
        active = ActiveRun(begun, work, worker)
        self.placing.begin(chosen, active, waiting.models)
        self._attempts.begin(active)

    def _add(self, run: Run) -> None:
        self._queue.add(queue_entry(run))

    def _note_lost(self, run_id: str) -> None:
        """Take note that another server has a run; alone, there is none."""

    def _warn_of_unknown_servers(self) -> None:
        known = {worker.server for worker in self.workers}
        for servers in self._queue.places:
            if servers and known.isdisjoint(servers):
                text = "runs wait for the ComfyUI server %s, which is not in the settings any more"
                _log.warning(text, " or ".join(servers))

    def _notify_change(self, owner: str) -> None:
        """Publish that an owner's queue has changed, and look for a run to start."""
        remaining = {"remaining": self.remaining(owner)}
        self.bus.publish(Message("queue", owner=owner, data=remaining))
        self._positions.mark_changed()
        self.wake()
