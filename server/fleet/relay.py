"""Publishes the events of all servers on this one's bus, in the order of the store."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from server.errors import ServerError
from server.scheduling.event_bus import Bus, Message
from server.scheduling.recorder import OVER, PAUSE, milestone_message
from server.store.runs import Milestone, Run
from server.store.store import Store

_log = logging.getLogger(__name__)

EVERY: Final = 3.0
"""Seconds after which the store is looked at without a notice: one may have been lost."""
PATIENCE: Final = 2.0
"""The most seconds that a request waits until this server has read its own change."""
AT_ONCE: Final = 500
"""The events that are read at once."""
MOST_HELD: Final = 1000
"""Passing events that may wait for the milestone before them; the oldest are dropped."""
_MOVES: Final = ("run_queued", "run_requeued", "run_started", *OVER)
"""Events after which a run waits, is computed or is over."""


@dataclass(frozen=True, slots=True)
class RelayHooks:
    """The parts of the server that a relay calls."""

    moved: Callable[[Iterable[Run]], None]
    """Called with the runs that have begun to wait, have begun, or are over: as they are now."""
    passing: Callable[[Message, int], None]
    """Called with each passing event of this server's own runs, and the milestone before it."""


class Relay:
    """Reads events after the last one it knows, and publishes them with what passes in between.

    The recorder publishes here in place of the bus. Only so do subscribers get the milestones of
    all servers in the order of their ids.

    Args:
        store: has the events.
        bus: gets them.
        hooks: the parts of the server that are told.
    """

    def __init__(self, store: Store, bus: Bus, hooks: RelayHooks) -> None:
        self._store = store
        self._bus = bus
        self._hooks = hooks
        self._last = 0
        self._newest: dict[str, int] = {}
        """The id of the newest milestone of each run of this server."""
        self._held: deque[tuple[int, Message]] = deque(maxlen=MOST_HELD)
        self._asked: set[str] = set()
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()

    @property
    def idle(self) -> bool:
        """False: it has to hear of all that this server publishes."""
        return False

    def wake(self) -> None:
        """Look for new events now."""
        self._wake.set()

    async def begin(self) -> None:
        """Begin with the events after the newest one."""
        self._last = await self._store.last_event()

    def ask(self, run_id: str) -> None:
        """Have the state of a run looked at, although no event told of a change."""
        self._asked.add(run_id)
        self.wake()

    def publish_all(self, messages: Sequence[Message]) -> None:
        """Take messages of a run of this server: milestones come back from the store."""
        for message in messages:
            if message.id is None:
                after = self._newest.get(message.run, 0)
                self.hold(message, after)
                self._hooks.passing(message, after)
            elif message.name in OVER:
                self._newest.pop(message.run, None)
            else:
                self._newest[message.run] = message.id
        self.wake()

    def hold(self, message: Message, after: int) -> None:
        """Publish a passing event as soon as the milestone before it is published."""
        self._held.append((after, message))
        self._release()

    async def reach(self, number: int) -> None:
        """Wait until the event with this id is published, but not for long."""
        if self._last >= number:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((number, waiter))
        self.wake()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await waiter

    async def run(self) -> None:
        """Publish events for ever."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._wake.wait()
            self._wake.clear()
            try:
                while await self._advance() == AT_ONCE:
                    pass
            except ServerError as error:
                _log.error("%s", error)
                await asyncio.sleep(PAUSE)
                self.wake()

    async def _advance(self) -> int:
        """Publish the next events; return their number."""
        events = await self._store.events(after=self._last, limit=AT_ONCE)
        asked = self._asked.copy()
        moved = {event.run: None for event in events if event.name in _MOVES}
        heard = {} if self._bus.idle else {event.run: None for event in events}
        found = await self._store.find_many([*(moved | heard | dict.fromkeys(asked))])
        runs = {run.id: run for run in found}
        self._asked -= asked
        for event in events:
            self._publish(event, runs.get(event.run))
        self._hooks.moved([runs[name] for name in (*moved, *asked) if name in runs])
        self._settle()
        return len(events)

    def _publish(self, event: Milestone, run: Run | None) -> None:
        if run is not None:
            self._bus.publish_all([milestone_message(run, event)])
        self._last = event.id
        self._release()

    def _release(self) -> None:
        while self._held and self._held[0][0] <= self._last:
            self._bus.publish_all([self._held.popleft()[1]])

    def _settle(self) -> None:
        """Let those go on who waited for these events."""
        left: list[tuple[int, asyncio.Future[None]]] = []
        for number, waiter in self._waiters:
            if waiter.done():
                continue
            if number <= self._last:
                waiter.set_result(None)
            else:
                left.append((number, waiter))
        self._waiters = left
