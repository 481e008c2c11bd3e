"""The queue as one owner has it: the same questions, but nothing of anybody else's is there.

Routes get these instead of the real ones (see `server.services`), so that none can forget to ask
whose a run is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from server.bus import Bus, Message, Subscriber
from server.dispatcher import Dispatcher
from server.errors import UnknownRunError
from server.store.runs import EVERY, Accepted, Milestone, NewRun, Run, Which, Work
from server.store.store import Store
from server.workers.worker import Worker


class OwnStore:
    """What is written down about an owner's runs; for each method see `Store`."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner

    async def run(self, run_id: str) -> Run:
        """One run; raises UnknownRunError, also for one of somebody else."""
        found = await self.find(run_id)
        if found is None:
            raise UnknownRunError(run_id)
        return found

    async def find(self, run_id: str) -> Run | None:
        """One run, if the owner has one of that id."""
        found = await self._store.find(run_id)
        return found if found and found.owner == self._owner else None

    async def these(self, run_ids: Sequence[str]) -> list[Run]:
        """Those of these runs that the owner has, in the same order."""
        return [run for run in await self._store.these(run_ids) if run.owner == self._owner]

    async def work(self, run_id: str) -> Work:
        """What a run computes; raises UnknownRunError."""
        await self.run(run_id)
        return await self._store.work(run_id)

    async def works(self, run_ids: Sequence[str]) -> dict[str, Work]:
        """What those of these runs compute that the owner has."""
        return await self._store.works([run.id for run in await self.these(run_ids)])

    async def runs(
        self,
        which: Which = EVERY,
        *,
        limit: int | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[Run]:
        """Runs, newest first unless `oldest_first`."""
        own = replace(which, owner=self._owner)
        return await self._store.runs(own, limit=limit, offset=offset, oldest_first=oldest_first)

    async def count(self, which: Which = EVERY) -> int:
        """How many of these runs the owner has."""
        return await self._store.count(replace(which, owner=self._owner))

    async def events(
        self,
        run_id: str | None = None,
        *,
        client: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Milestone]:
        """Events in order, after the one with this `id`; none of other people's runs."""
        return await self._store.events(
            run_id, client=client, owner=self._owner, after=after, limit=limit
        )

    async def results(self, run_ids: Sequence[str]) -> dict[str, list[Milestone]]:
        """What the owner's runs showed, by run."""
        return await self._store.results([run.id for run in await self.these(run_ids)])

    async def last_event(self) -> int:
        """The number of the newest event, of whomever's; 0 if there is none."""
        return await self._store.last_event()

    async def all_events(self, run_id: str) -> list[Milestone]:
        """Every event of a run, in order."""
        return await self.events(run_id, limit=-1)

    async def forget(self, run_ids: Iterable[str] | None = None) -> list[str]:
        """Remove the owner's runs that are over, or all such if None; which were removed."""
        return await self._store.forget(run_ids, owner=self._owner)


class OwnDispatcher:
    """What an owner may have done; for each method see `Dispatcher`."""

    def __init__(self, dispatcher: Dispatcher, owner: str) -> None:
        self._dispatcher = dispatcher
        self._owner = owner

    @property
    def draining(self) -> bool:
        """Whether nothing new is taken."""
        return self._dispatcher.draining

    @property
    def workers(self) -> Sequence[Worker]:
        """The workers, which everybody shares."""
        return self._dispatcher.workers

    @property
    def remaining(self) -> int:
        """How many of the owner's runs are not over."""
        return self._dispatcher.remaining(self._owner)

    async def submit(self, new: NewRun) -> Accepted:
        """Accept a run of this owner."""
        return await self._dispatcher.submit(replace(new, owner=self._owner))

    async def retry(self, run_id: str) -> Run:
        """Put an unsuccessful run into the queue once more; raises UnknownRunError."""
        await OwnStore(self._dispatcher.store, self._owner).run(run_id)
        return await self._dispatcher.retry(run_id)

    async def cancel(self, run_id: str) -> bool:
        """Stop a run, or take it out of the queue; False if it is over, or not the owner's."""
        found = await OwnStore(self._dispatcher.store, self._owner).find(run_id)
        return found is not None and await self._dispatcher.cancel(run_id)

    async def withdraw(self, run_id: str) -> bool:
        """Take a run out of the queue; False if it does not wait there, or is not the owner's."""
        waits = self.position(run_id) is not None
        return waits and await self._dispatcher.withdraw(run_id)

    async def clear(self) -> None:
        """Take everything of the owner out of the queue."""
        await self._dispatcher.clear(self._owner)

    def queue(self) -> list[str]:
        """The owner's runs that wait, next first."""
        return self._dispatcher.queue(self._owner)

    def position(self, run_id: str) -> int | None:
        """How many runs, of whomever, come before one of the owner's; None if it does not wait."""
        return self._dispatcher.position(run_id, self._owner)

    def running(self) -> list[Run]:
        """The owner's runs that are being computed, in the order in which they began."""
        return [run for run in self._dispatcher.running() if run.owner == self._owner]


class OwnBus:
    """What an owner hears of; see `Bus`."""

    def __init__(self, bus: Bus, owner: str) -> None:
        self._bus = bus
        self._owner = owner

    def subscribe(self, *, client: str = "", run: str = "") -> Subscriber:
        """A listener that hears of the owner's runs, and of what concerns everybody."""
        return self._bus.subscribe(client=client, run=run, owner=self._owner)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """It hears no more."""
        self._bus.unsubscribe(subscriber)

    def publish(self, message: Message) -> None:
        """Tell the owner's listeners."""
        self._bus.publish(replace(message, owner=self._owner))
