"""The lease of a server on its runs: renewed by signs of life, taken over when they stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from nodegraph.errors import SettingsError
from server.errors import ServerError
from server.scheduling.recorder import STOPPED
from server.store.runs import Milestone, Run, RunFilter
from server.store.servers import ServerSeen
from server.store.store import Store

_log = logging.getLogger(__name__)

EVERY: Final = 2.0
"""Seconds between two signs of life, if the lease is long enough for five of them."""
_SHARE: Final = 5
_LOST: Final = "the server lost it"


@dataclass(frozen=True, slots=True)
class Seat:
    """A server's place in its fleet."""

    name: str
    """Its name, which no other server of the fleet has."""
    address: str
    """The host and the port that it listens on."""
    lease: float
    """Seconds without a sign of life after which others take its runs over."""


@dataclass(frozen=True, slots=True)
class LeaseHooks:
    """The parts of the server that its lease concerns."""

    active: Callable[[], Collection[str]]
    """Returns the ids of the runs that it computes."""
    lost: Callable[[], Awaitable[None]]
    """Called when others have taken its runs over."""
    cancel: Callable[[str], Awaitable[object]]
    """Called with each of its runs that somebody asked to cancel elsewhere."""
    renewed: Callable[[], None]
    """Called after each sign of life."""
    put_back: Callable[[Run, Milestone, str], None]
    """Called with each run of a server that is gone: as it is now, its new event, the reason."""


class Lease:
    """Gives signs of life, and takes over the runs of servers that give none.

    While the database is away nobody can give one. So nobody is given up before this server has
    had the database for as long as a lease.

    Args:
        store: has the servers and their runs.
        seat: this server's place.
        hooks: the parts of the server that are told.
    """

    def __init__(self, store: Store, seat: Seat, hooks: LeaseHooks) -> None:
        self._store = store
        self._seat = seat
        self._hooks = hooks
        self._pause = min(EVERY, seat.lease / _SHARE)
        self._since: float | None = None
        """The time since when every sign of life was written."""
        self._strays: frozenset[tuple[str, int]] = frozenset()

    async def take(self) -> None:
        """Take this server's place; the runs that it left behind wait again.

        Raises:
            SettingsError: another server is alive and has the same name.
        """
        await self._check_name()
        await self._put_back(self._seat.name, STOPPED)
        await self._store.servers.beat(self._seat.name, self._seat.address)

    async def give_up(self) -> None:
        """Leave the fleet; runs that are still computed here wait again."""
        try:
            await self._put_back(self._seat.name, STOPPED)
        except ServerError as error:
            _log.error("%s", error)

    async def run(self) -> None:
        """Renew the lease for ever."""
        while True:
            await asyncio.sleep(self._pause)
            try:
                await self._renew()
            except ServerError as error:
                _log.error("no sign of life could be given: %s", error)
                self._since = None

    async def _check_name(self) -> None:
        """Raise if a server at another address gives signs of life under this name."""
        before = await self._namesake()
        if before is None or before.age_ms > self._seat.lease * 1000:
            return
        await asyncio.sleep(2 * self._pause)
        after = await self._namesake()
        if after is not None and after.seen_ms != before.seen_ms:
            message = f"the server at {after.address} has the name {self._seat.name!r} already."
            raise SettingsError(message, hint="Set server.name to another one.")

    async def _namesake(self) -> ServerSeen | None:
        """Return the server that has this name but another address; None if there is none."""
        seen = await self._store.servers.find_all()
        same = (each for each in seen if each.name == self._seat.name)
        return next((each for each in same if each.address != self._seat.address), None)

    async def _renew(self) -> None:
        servers, name = self._store.servers, self._seat.name
        if not await servers.beat(name, self._seat.address):
            _log.error("other servers have taken over the runs of this one, which was away")
            await self._hooks.lost()
        for run_id in await servers.find_cancelled(name):
            await self._hooks.cancel(run_id)
        self._hooks.renewed()
        await self._put_strays_back()
        now = asyncio.get_running_loop().time()
        self._since = now if self._since is None else self._since
        if now - self._since >= self._seat.lease:
            await self._take_over()

    async def _take_over(self) -> None:
        """Put the runs of servers that are gone back into the queue."""
        lease_ms = int(self._seat.lease * 1000)
        for name in await self._store.servers.find_lapsed(lease_ms):
            reason = f"the server {name} was lost"
            for run, event in await self._put_back(name, reason, lease_ms):
                _log.warning("%s: %s", reason, event.name, extra={"run": run.id})

    async def _put_back(
        self, name: str, reason: str, lease_ms: int | None = None
    ) -> list[tuple[Run, Milestone]]:
        """Put the runs of a server back into the queue, and tell of each."""
        taken = await self._store.servers.take_over(name, reason, lease_ms)
        for run, event in taken:
            self._hooks.put_back(run, event, reason)
        return taken

    async def _put_strays_back(self) -> None:
        """Put runs back that this server seems to compute, but does not, seen so twice.

        They are left when the connection breaks between a change and the reply to it.
        """
        running = await self._store.runs(RunFilter(states=["running"]))
        mine = [run for run in running if run.server == self._seat.name]
        active = self._hooks.active()
        strays = {(run.id, run.attempts): run for run in mine if run.id not in active}
        for run in (run for key, run in strays.items() if key in self._strays):
            put_back = await self._store.requeue(run.id, _LOST, attempt=run.attempt)
            self._hooks.put_back(*put_back, _LOST)
        self._strays = frozenset(strays)
