"""The store, the dispatcher and the bus as one owner sees them, without other owners' runs.

Routes get these instead of the real ones (see `server.web.services`), so that no route can
forget to check the owner of a run.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from server.errors import UnknownRunError
from server.scheduling.dispatcher import Dispatcher
from server.scheduling.event_bus import Bus, Message, Subscriber
from server.store.runs import ALL_RUNS, Accepted, Milestone, NewRun, Run, RunFilter, Work
from server.store.store import Store
from server.workers.worker import Worker


class OwnStore:
    """The part of the store with an owner's runs; the methods are those of `Store`."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def run(self, run_id: str) -> Run:
        """Return a run; raises UnknownRunError, also for a run of another owner."""
        found = await self.find(run_id)
        if found is None:
            raise UnknownRunError(run_id)
        return found

    async def find(self, run_id: str) -> Run | None:
        """Return a run; None if the owner has none of that id."""
        found = await self._store.find(run_id)
        return found if found and found.owner == self._owner else None

    async def find_many(self, run_ids: Sequence[str]) -> list[Run]:
        """Return the runs with these ids that the owner has, in the same order."""
        return [run for run in await self._store.find_many(run_ids) if run.owner == self._owner]

    async def work(self, run_id: str) -> Work:
        """Return the graph and targets of a run; raises UnknownRunError."""
        await self.run(run_id)
        return await self._store.work(run_id)

    async def works(self, run_ids: Sequence[str]) -> dict[str, Work]:
        """Return the graphs and targets of those of these runs that the owner has, by id."""
        return await self._store.works([run.id for run in await self.find_many(run_ids)])

    async def runs(
        self,
        which: RunFilter = ALL_RUNS,
        *,
        limit: int | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[Run]:
        """Return runs, newest first unless `oldest_first`."""
        own = replace(which, owner=self._owner)
        return await self._store.runs(own, limit=limit, offset=offset, oldest_first=oldest_first)

    async def count(self, which: RunFilter = ALL_RUNS) -> int:
        """Return the number of the owner's runs that match."""
        return await self._store.count(replace(which, owner=self._owner))

    async def events(
        self,
        run_id: str | None = None,
        *,
        client: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Milestone]:
        """Return events of the owner's runs in order, after the event with the id `after`."""
        return await self._store.events(
            run_id, client=client, owner=self._owner, after=after, limit=limit
        )

    async def results(self, run_ids: Sequence[str]) -> dict[str, list[Milestone]]:
        """Return the events with outputs of the owner's runs, by run."""
        return await self._store.results([run.id for run in await self.find_many(run_ids)])

    async def last_event(self) -> int:
        """Return the id of the newest event of any owner; 0 if there is none."""
        return await self._store.last_event()

    async def all_events(self, run_id: str) -> list[Milestone]:
        """Return every event of a run, in order."""
        return await self.events(run_id, limit=-1)

    async def forget(self, run_ids: Iterable[str] | None = None) -> list[str]:
        """Delete finished runs of the owner, all of them if None; return the ids of the deleted."""
        return await self._store.forget(run_ids, owner=self._owner)


class OwnDispatcher:
    """The dispatcher for an owner's runs; the methods are those of `Dispatcher`."""

    def __init__(self, dispatcher: Dispatcher, owner: str) -> None:
        self._dispatcher = dispatcher
        self._owner = owner

    @property
    def draining(self) -> bool:
        """True if no more runs are accepted."""
        return self._dispatcher.draining

    @property
    def workers(self) -> Sequence[Worker]:
        """The workers, which all owners share."""
        return self._dispatcher.workers

    @property
    def remaining(self) -> int:
        """The number of the owner's runs that wait or are active."""
        return self._dispatcher.remaining(self._owner)

    async def submit(self, new: NewRun) -> Accepted:
        """Accept a run of this owner."""
        return await self._dispatcher.submit(replace(new, owner=self._owner))

    async def retry(self, run_id: str) -> Run:
        """Put an unsuccessful run into the queue once more; raises UnknownRunError."""
        await OwnStore(self._dispatcher.store, self._owner).run(run_id)
        return await self._dispatcher.retry(run_id)

    async def cancel(self, run_id: str) -> bool:
        """Stop a run or take it out of the queue; False if it is over or not the owner's."""
        found = await OwnStore(self._dispatcher.store, self._owner).find(run_id)
        return found is not None and await self._dispatcher.cancel(run_id)

    async def withdraw(self, run_id: str) -> bool:
        """Take a run out of the queue; False if it is not there, or not the owner's."""
        waits = self.position(run_id) is not None
        return waits and await self._dispatcher.withdraw(run_id)

    async def clear(self) -> None:
        """Take all of the owner's runs out of the queue."""
        await self._dispatcher.clear(self._owner)

    def queue(self) -> list[str]:
        """Return the ids of the owner's waiting runs, next first."""
        return self._dispatcher.queue(self._owner)

    def position(self, run_id: str) -> int | None:
        """Return the number of runs of any owner ahead of a run; None if it is not queued."""
        return self._dispatcher.position(run_id, self._owner)

    def active_runs(self) -> list[Run]:
        """Return the owner's active runs, in the order in which they began."""
        return [run for run in self._dispatcher.active_runs() if run.owner == self._owner]


class OwnBus:
    """The bus with the messages for one owner; the methods are those of `Bus`."""

    def __init__(self, bus: Bus, owner: str) -> None:
        self._bus = bus
        self._owner = owner

    def subscribe(self, *, client: str = "", run: str = "") -> Subscriber:
        """Return a subscriber to the owner's messages and to those for everybody."""
        return self._bus.subscribe(client=client, run=run, owner=self._owner)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Send a subscriber nothing more."""
        self._bus.unsubscribe(subscriber)

    def publish(self, message: Message) -> None:
        """Hand a message to the owner's subscribers."""
        self._bus.publish(message._replace(owner=self._owner))
