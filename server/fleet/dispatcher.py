"""The dispatcher of a server that shares its queue with others."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from server.errors import StorageError, UnreadableStoreError, WorkerLostError
from server.fleet.lease import Lease
from server.fleet.relay import Relay
from server.scheduling.dispatcher import Dispatcher
from server.scheduling.scheduler import Assignment
from server.store.runs import Accepted, Milestone, NewRun, Run, RunFilter


@dataclass(frozen=True, slots=True)
class Ties:
    """The parts that tie a dispatcher to its fleet."""

    name: str
    """The server's name."""
    relay: Relay
    """Publishes the events of all servers."""
    lease: Lease
    """The lease on its runs."""
    cancel: Callable[[str], None]
    """Tells the other servers that one of their runs is to be cancelled."""
    begun: Callable[[Run], None]
    """Called with a run that another server has begun."""
    works: Sequence[Callable[[], Coroutine[Any, Any, None]]]
    """The works that go on as long as the server runs."""


class FleetDispatcher(Dispatcher):
    """Claims a run before a worker gets it, and keeps its queue in step with other servers.

    The queue in memory follows the store's events. A run that this server accepts comes into it
    in the same way as one that another server accepts.
    """

    _ties: Ties

    def join(self, ties: Ties) -> None:
        """Take a place in a fleet, before the start."""
        self._ties = ties
        self.recorder.server = ties.name
        self.recorder.outlet = ties.relay
        self._attempts.claims_first = True

    async def start(self) -> None:
        """Take this server's place, and go on where it stopped."""
        await super().start()
        self._tasks += [asyncio.create_task(work()) for work in self._ties.works]

    async def stop(self) -> None:
        """Stop at once; other servers repeat the active runs."""
        await super().stop()
        await self._ties.lease.give_up()

    async def cancel(self, run_id: str) -> bool:
        """Stop a run or take it out of the queue; False if it is over or does not exist.

        A run that another server computes is cancelled there, a moment later.

        Raises:
            StorageError: the store could not record it.
        """
        if await self.cancel_here(run_id):
            return True
        cancelled = await self.store.cancel(run_id)
        if cancelled is None:
            return False
        run, event = cancelled
        if event is None:
            self._ties.cancel(run_id)
        else:
            self.recorder.note_end((run, event))
            await self._ties.relay.reach(event.id)
        return True

    async def cancel_here(self, run_id: str) -> bool:
        """Stop a run that a worker of this server computes; False if none does."""
        return await self._cancel_active(run_id)

    async def withdraw(self, run_id: str) -> bool:
        """Take a run out of the queue; False if it is not in the queue.

        If another server has begun it a moment ago, it is cancelled there.
        """
        return run_id in self._queue and await self.cancel(run_id)

    async def abandon(self) -> None:
        """Stop the runs that others have taken over, and record nothing more of them."""
        for run_id, active in [*self._active.items()]:
            active.is_lost = True
            with suppress(WorkerLostError):
                await active.worker.cancel(run_id)

    def mine(self) -> list[str]:
        """Return the ids of the runs that workers of this server compute."""
        return [*self._active]

    def follow(self, runs: Iterable[Run]) -> None:
        """Put runs where they are now, as the store knows them: waiting, elsewhere, or over."""
        owners: dict[str, None] = {}
        for run in runs:
            if run.id not in self._active:
                self._put(run)
                owners[run.owner] = None
        for owner in owners:
            self._notify_change(owner)

    def _put(self, run: Run) -> None:
        if run.state == "queued":
            self.elsewhere.pop(run.id, None)
            self._add(run)
        elif run.state == "running":
            self._queue.serve(run.id)
            is_new = run.id not in self.elsewhere
            self.elsewhere[run.id] = run
            if is_new:
                self._ties.begun(run)
        else:
            self._queue.remove(run.id)
            self.elsewhere.pop(run.id, None)

    async def _recover(self) -> None:
        """Take back what this server was computing, and begin to follow the others."""
        await self._ties.lease.take()
        await self._ties.relay.begin()
        running = await self.store.runs(RunFilter(states=["running"]), oldest_first=True)
        self.elsewhere.update((run.id, run) for run in running)

    async def _take_in(self, accepted: Accepted, _new: NewRun, /) -> None:
        """Wait until the queue in memory has the run."""
        if accepted.event:
            await self._ties.relay.reach(accepted.event.id)

    async def _take_back(self, _run: Run, event: Milestone, /) -> None:
        """Wait until the queue in memory has the run again."""
        await self._ties.relay.reach(event.id)

    async def _launch(self, chosen: Assignment) -> None:
        """Have the chosen worker compute a run; wait while the database can not be read."""
        try:
            await super()._launch(chosen)
        except UnreadableStoreError as error:
            raise StorageError(error.message) from error

    def _note_lost(self, run_id: str) -> None:
        """Look where a run is that another server has claimed or taken over."""
        self._ties.relay.ask(run_id)
