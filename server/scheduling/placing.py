"""Places waiting runs on workers, with what each of them computes and has in memory."""

from collections.abc import Collection, Sequence

from nodegraph.runtime.choices import Placement
from server.scheduling.active_run import ActiveRun
from server.scheduling.estimates import Estimates
from server.scheduling.fair_queue import FairQueue
from server.scheduling.scheduler import Assignment, Slot, Waiting, pick
from server.store.changes import now_ms
from server.store.runs import Run
from server.workers.worker import Worker

AHEAD = 16
"""Runs that a worker may have computed whose ends are not yet on the disk, besides its slots."""
WRITING = 3
"""Runs that may write their files on a worker besides those that it computes."""


class Placing:
    """Chooses the next run and its worker.

    Args:
        queue: of the waiting runs.
        workers: all of them, also those that are not ready.
        rule: what decides which of several workers gets a run.
    """

    def __init__(self, queue: FairQueue, workers: Sequence[Worker], rule: Placement) -> None:
        self.estimates = Estimates()
        self._queue = queue
        self._workers = workers
        self._by_models = rule == "models"
        self.holds_back = False
        """True if a run waits for a busy worker although another one is free."""
        self._last_begun: dict[str, float] = {}

    def pick(self, active: Collection[ActiveRun]) -> Assignment | None:
        """Return the next run and its worker; None if none is to begin now.

        Args:
            active: the runs that workers compute, and those whose ends are being recorded.
        """
        slots = [self._slot(worker, active) for worker in self._workers if worker.ready]
        free = [slot for slot in slots if slot.free]
        self.holds_back = False
        if not any(slot.takes(servers) for servers in self._queue.places for slot in free):
            return None
        several = self._by_models and sum(not slot.server for slot in slots) > 1
        outlook = self.estimates.outlook(_now()) if several else None
        picked = pick(self._queue, slots, outlook)
        self.holds_back = picked is None and several
        return picked

    def begin(self, picked: Assignment, active: ActiveRun, models: Collection[str]) -> None:
        """Take note that a worker begins a run, which reads these model files."""
        self.estimates.note_pick(picked)
        active.begun_at = self._last_begun[active.worker.name] = _now()
        active.was_warm = set(models) <= set(active.worker.models)

    def end(self, active: ActiveRun) -> None:
        """Take note that a worker has computed a run."""
        if active.was_warm and active.run.models and not active.cancelled:
            self.estimates.note_run(_now() - active.begun_at)

    def _slot(self, worker: Worker, active: Collection[ActiveRun]) -> Slot:
        mine = [each for each in active if each.worker is worker]
        runs = [each.run for each in mine if not each.computed]
        alone = any(run.suspect for run in runs)
        writing = min(WRITING, sum(run.id in worker.writing for run in runs))
        free = worker.slots + writing - len(runs) if len(mine) < worker.slots + AHEAD else 0
        begun = self._last_begun.get(worker.name, 0.0)
        return Slot(worker.name, free, len(runs), alone, worker.server, worker.models, begun)


def queue_entry(run: Run) -> Waiting:
    """Return a run as the queue has it."""
    place = (run.priority, run.number, run.seq)
    about = (run.suspect, run.owner, run.servers, run.models)
    return Waiting(run.id, run.client, *place, *about, since=run.created_ms / 1000)


def _now() -> float:
    return now_ms() / 1000
