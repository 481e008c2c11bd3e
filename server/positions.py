"""Tells those who look at a run that waits how many are before it, when that changes."""

import asyncio
from collections.abc import Iterable

from server.bus import Bus, Message, Topic
from server.scheduler import Waiting

PAUSE = 0.25
"""Seconds between two rounds: changes that come close together are told once."""


class Positions:
    """Looks at the queue after it changed, at most once in `PAUSE`.

    Args:
        bus: where it is told, and where those are who listen to one run.
        lineup: the queue, next first.
    """

    def __init__(self, bus: Bus, lineup: Iterable[Waiting]) -> None:
        self._bus = bus
        self._lineup = lineup
        self._told: dict[str, int] = {}
        """What was said last, of the runs that somebody looks at."""
        self._looked_at: dict[str, None] = {}
        self._changed = asyncio.Event()
        bus.watch(self._joined)

    def change(self) -> None:
        """The queue is another."""
        self._changed.set()

    async def run(self) -> None:
        """Tell, for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._tell()
            await asyncio.sleep(PAUSE)

    def _joined(self, topic: Topic) -> None:
        """Somebody begins or ceases to look at a run: whoever is new wants to know at once."""
        if not topic.run:
            return
        self._told.pop(topic.run, None)
        if self._bus.looked_at(topic.run, "", topic.owner):
            self._looked_at[topic.run] = None
            self.change()
        else:
            self._looked_at.pop(topic.run, None)

    def _tell(self) -> None:
        for place, run in enumerate(self._lineup if self._looked_at else ()):
            if run.id in self._looked_at and self._told.get(run.id) != place:
                self._told[run.id] = place
                self._bus.publish(
                    Message("position", run.id, owner=run.owner, data={"position": place})
                )
