"""Publishes the position of a waiting run to those who watch it, whenever it changes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from server.scheduling.event_bus import Bus, Message, Topic
from server.scheduling.scheduler import Waiting

PAUSE = 0.25
"""Seconds between two rounds: changes that come close together are published once."""


class Positions:
    """Publishes the positions of watched runs after the queue changed, at most once in `PAUSE`.

    Args:
        bus: takes the messages, and knows who watches a run.
        queue: the queue, next first.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        bus: Bus,
        queue: Iterable[Waiting],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._queue = queue
        self._sleep = sleep
        self._published: dict[str, int] = {}
        """The position that was published last, by run."""
        self._watched: dict[str, None] = {}
        self._changed = asyncio.Event()
        bus.watch(self._update_viewers)

    def mark_changed(self) -> None:
        """Note that the queue has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Publish positions for ever."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._publish()
            await self._sleep(PAUSE)

    def _update_viewers(self, topic: Topic) -> None:
        """Note that a run has a new viewer, who gets its position at once, or one less."""
        if not topic.run:
            return
        self._published.pop(topic.run, None)
        if self._bus.has_viewer(topic.run, "", topic.owner):
            self._watched[topic.run] = None
            self.mark_changed()
        else:
            self._watched.pop(topic.run, None)

    def _publish(self) -> None:
        for place, run in enumerate(self._queue if self._watched else ()):
            if run.id in self._watched and self._published.get(run.id) != place:
                self._published[run.id] = place
                self._bus.publish(
                    Message("position", run.id, owner=run.owner, data={"position": place})
                )
