"""Who is told where a run is in the queue."""

import asyncio

from server.scheduling.event_bus import Bus
from server.scheduling.fair_queue import FairQueue
from server.scheduling.positions import PAUSE, Positions
from server.scheduling.scheduler import Waiting


def queue_of(count):
    queue = FairQueue()
    for number in range(count):
        queue.add(Waiting(f"r{number}", "", 0, float(number), number))
    return queue


async def told(subscriber):
    """What it was told by now."""
    found = []
    subscriber.close()
    while (message := await subscriber.next()) is not None:
        found.append((message.run, message.data["position"]))
    return found


def test_only_those_who_look_are_told_and_only_of_changes():
    async def scenario():
        bus, queue = Bus(), queue_of(4)
        positions = Positions(bus, queue)
        task = asyncio.create_task(positions.run())
        everything, of_one, of_two = (
            bus.subscribe(),
            bus.subscribe(run="r1"),
            bus.subscribe(run="r3"),
        )
        await asyncio.sleep(0.01)
        queue.remove("r2")
        positions.mark_changed()
        await asyncio.sleep(2 * PAUSE)
        late = bus.subscribe(run="r1")
        await asyncio.sleep(2 * PAUSE)
        task.cancel()
        return [await told(each) for each in (everything, of_one, of_two, late)]

    everything, of_one, of_two, late = asyncio.run(scenario())
    assert of_two == [("r3", 3), ("r3", 2)]
    assert of_one == [("r1", 1), ("r1", 1)]
    assert late == [("r1", 1)]
    assert everything == [("r1", 1), ("r3", 3), ("r3", 2), ("r1", 1)]


def test_changes_that_come_together_are_told_once():
    async def scenario():
        bus, queue = Bus(), queue_of(50)
        positions = Positions(bus, queue)
        last = bus.subscribe(run="r49")
        task = asyncio.create_task(positions.run())
        await asyncio.sleep(0.01)
        for number in range(49):
            queue.remove(f"r{number}")
            positions.mark_changed()
        await asyncio.sleep(2 * PAUSE)
        task.cancel()
        return await told(last)

    assert asyncio.run(scenario()) == [("r49", 49), ("r49", 0)]
