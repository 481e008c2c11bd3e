"""Who is told where a run is in the queue."""

import asyncio

from server.scheduling.event_bus import Bus
from server.scheduling.fair_queue import FairQueue
from server.scheduling.positions import Positions
from server.scheduling.scheduler import Waiting


def queue_of(count):
    queue = FairQueue()
    for number in range(count):
        queue.add(Waiting(f"r{number}", "", 0, float(number), number))
    return queue


class Pauses:
    """Pauses that last until the test ends them."""

    def __init__(self):
        self._begun = asyncio.Semaphore(0)
        self._ended = asyncio.Semaphore(0)

    async def __call__(self, seconds):
        self._begun.release()
        await self._ended.acquire()

    async def begin(self):
        """Wait until a round is over."""
        await asyncio.wait_for(self._begun.acquire(), 60)

    async def next_round(self):
        """End the pause, and wait until the next round is over."""
        self._ended.release()
        await self.begin()


async def told(subscriber):
    """What it was told by now."""
    found = []
    subscriber.close()
    while (message := await subscriber.next()) is not None:
        found.append((message.run, message.data["position"]))
    return found


def test_only_those_who_look_are_told_and_only_of_changes():
    async def scenario():
        bus, queue, pauses = Bus(), queue_of(4), Pauses()
        positions = Positions(bus, queue, pauses)
        task = asyncio.create_task(positions.run())
        everything, of_one, of_two = (
            bus.subscribe(),
            bus.subscribe(run="r1"),
            bus.subscribe(run="r3"),
        )
        await pauses.begin()
        queue.remove("r2")
        positions.mark_changed()
        await pauses.next_round()
        late = bus.subscribe(run="r1")
        await pauses.next_round()
        task.cancel()
        return [await told(each) for each in (everything, of_one, of_two, late)]

    everything, of_one, of_two, late = asyncio.run(scenario())
    assert of_two == [("r3", 3), ("r3", 2)]
    assert of_one == [("r1", 1), ("r1", 1)]
    assert late == [("r1", 1)]
    assert everything == [("r1", 1), ("r3", 3), ("r3", 2), ("r1", 1)]


def test_changes_that_come_together_are_told_once():
    async def scenario():
        bus, queue, pauses = Bus(), queue_of(50), Pauses()
        positions = Positions(bus, queue, pauses)
        last = bus.subscribe(run="r49")
        task = asyncio.create_task(positions.run())
        await pauses.begin()
        for number in range(49):
            queue.remove(f"r{number}")
            positions.mark_changed()
        await pauses.next_round()
        task.cancel()
        return await told(last)

    assert asyncio.run(scenario()) == [("r49", 49), ("r49", 0)]
