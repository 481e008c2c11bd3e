"""Follows each attempt at a run, from its beginning at a worker to its recorded end."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass

from nodegraph.errors import NodeGraphError
from nodegraph.runtime.choices import PreviewMethod
from server.errors import (
    DamagedRunError,
    LostAttemptError,
    RunParkedError,
    StorageError,
    WorkerLostError,
)
from server.observability.logs import note
from server.scheduling.active_run import ActiveRun
from server.scheduling.placing import Placing
from server.scheduling.preview_demand import PreviewDemand, preview_method_of
from server.scheduling.recorder import PAUSE, Recorder
from server.store.runs import Run
from server.workers.worker import Order, Report

_log = logging.getLogger(__name__)

ATTEMPTS = 3
"""The workers that a run may kill before it is given up."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """The parts of the dispatcher that an attempt calls."""

    requeued: Callable[[Run], None]
    """Called when its run waits again."""
    changed: Callable[[str], None]
    """Called with the owner of its run when that is over or waits again."""
    wake: Callable[[], None]
    """Called when a worker may have room."""
    lost: Callable[[str], None] = lambda _: None
    """Called with the id of a run that another server has claimed or taken over."""


class Attempts:
    """The attempts at runs that are under way.

    Args:
        recorder: records what workers report.
        placing: is told when a worker is done.
        demand: knows whose previews somebody watches.
        previews: the preview method of runs that ask for none.
        hooks: the parts of the dispatcher that are told.
    """

    def __init__(
        self,
        recorder: Recorder,
        placing: Placing,
        demand: PreviewDemand,
        previews: PreviewMethod,
        hooks: Hooks,
    ) -> None:
        self.active: dict[str, ActiveRun] = {}
        """The active runs by id, in the order in which they began."""
        self.disk_fails = False
        """True while it can not be recorded that a run has begun: none is begun then."""
        self.claims_first = False
        """True to give a run to a worker only after it is recorded that it has begun."""
        self._recorder = recorder
        self._placing = placing
        self._demand = demand
        self._previews: PreviewMethod = previews
        self._hooks = hooks

    def begin(self, active: ActiveRun) -> None:
        """Have a worker compute a run, and record meanwhile, or before, that it has begun.

        If the server is killed before that is on the disk, the run still waits in the queue.
        """
        self.active[active.run.id] = active
        active.begun = asyncio.create_task(self._begin(active))
        active.task = asyncio.create_task(self._follow(active))

    async def finish(self) -> None:
        """Wait until no attempt is under way."""
        while tasks := [active.task for active in self.active.values() if active.task]:
            await asyncio.wait(tasks)

    async def stop(self) -> None:
        """Stop following all attempts, after it is recorded that they have begun."""
        begun = [active.begun for active in self.active.values() if active.begun]
        if begun:
            await asyncio.wait(begun, timeout=PAUSE)
        following = [active.task for active in self.active.values() if active.task]
        for task in (tasks := [*begun, *following]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, active: ActiveRun) -> None:
        """Record that a run has begun; try again until the disk takes it."""
        try:
            while not await self._has_recorded_beginning(active):  # noqa: ASYNC110 - a disk tells nobody
                await asyncio.sleep(PAUSE)
        finally:
            if self.disk_fails:
                self.disk_fails = False
                self._hooks.wake()

    async def _has_recorded_beginning(self, active: ActiveRun) -> bool:
        """Record that a run has begun; return False if the disk does not take it."""
        try:
            active.run = await self._recorder.begin(active.run.id, active.worker.name)
        except StorageError as error:
            _log.error("%s", error)
            self.disk_fails = True
            return False
        return True

    async def _follow(self, active: ActiveRun) -> None:
        """Follow one attempt at a run to its end."""
        run = active.run
        note(run=run.id, worker=active.worker.name)
        try:
            await self._conclude(active)
        except LostAttemptError:
            await self._drop(active)
        finally:
            self.active.pop(run.id, None)
            self._demand.end(run.id)
            self._hooks.changed(run.owner)

    async def _conclude(self, active: ActiveRun) -> None:
        """Make the attempt, and record its end, or that the run waits again."""
        try:
            if self.claims_first:
                await active.has_begun()
            await self._attempt(active)
        except LostAttemptError:
            raise
        except WorkerLostError as error:
            await self._handle_lost_worker(active, error)
        except NodeGraphError as error:
            await self._recorder.end(await active.settle(), "failed", {"error": error.as_dict()})
        except Exception as error:  # noqa: BLE001 - a run has to end, whatever happens
            _log.exception("run %s failed in the server itself", active.run.id)
            failure = NodeGraphError(f"{type(error).__name__} in the server.", hint="See its log.")
            await self._recorder.end(await active.settle(), "failed", {"error": failure.as_dict()})

    async def _drop(self, active: ActiveRun) -> None:
        """Leave a run to the server that has it now; pass on that it is to be cancelled."""
        if active.run.server:  # it had begun here
            _log.warning("another server has taken the run over", extra={"run": active.run.id})
        with suppress(WorkerLostError):
            await active.worker.cancel(active.run.id)
        if active.cancelled:
            await self._recorder.cancel(active.run.id)
        self._recorder.note_lost(active.run)
        self._hooks.lost(active.run.id)

    async def _attempt(self, active: ActiveRun) -> None:
        """Have the worker compute the run; its slot is free before the end is recorded."""
        run, work = active.run, active.work
        if isinstance(work, DamagedRunError):
            raise work
        if active.cancelled:
            await self._recorder.end(await active.settle(), "cancelled")
            return
        watched = self._demand.begin(run, active.worker)
        method = preview_method_of(work, self._previews)
        order = Order(
            run.id, run.attempts, work, run.owner, run.client, method, run.retries, watched
        )
        last: Sequence[Report] = ()
        async with aclosing(active.worker.run(order)) as batches:
            async for reports in batches:
                if reports[-1].name == "done":
                    last = reports
                    break
                await self._record(active, reports)
        active.computed = True
        self._placing.end(active)
        self._hooks.wake()
        if last:
            await self._record(active, last)

    async def _record(self, active: ActiveRun, reports: Sequence[Report]) -> None:
        """Record reports of a run, after its beginning; stop the run if that can not be."""
        try:
            await active.has_begun()
            if active.is_lost:
                raise LostAttemptError(active.run.id)  # noqa: TRY301 - as the store would
            await self._recorder.record(active.run, reports)
        except Exception:
            with suppress(WorkerLostError):
                await active.worker.cancel(active.run.id)
            raise

    async def _handle_lost_worker(self, active: ActiveRun, error: WorkerLostError) -> None:
        """Queue the run of a dead worker again, unless the run has killed too many workers."""
        run, charged = await active.settle(), error.together == 1
        deaths = run.deaths + charged
        if not active.cancelled and deaths >= ATTEMPTS:
            parked = RunParkedError(deaths, run.attempts, error.reason)
            await self._recorder.end(run, "failed", {"error": parked.as_dict()})
            return
        if not active.cancelled:
            suspect = error.together > 0
            run = await self._recorder.requeue(run, error.reason, suspect=suspect, charged=charged)
        if active.cancelled:  # before or during the write
            await self._recorder.end(run, "cancelled")
        else:
            self._hooks.requeued(run)
