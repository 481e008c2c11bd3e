"""Who hears of what."""

import asyncio

from server.bus import MOST_PASSING, MOST_WAITING, Bus, Message


def heard(subscriber):
    """What waits for it."""
    names = []
    subscriber.close()

    async def read():
        while (message := await subscriber.next()) is not None:
            names.append(message.name)

    asyncio.run(read())
    return names


def test_messages_go_to_those_whom_they_concern():
    bus = Bus()
    everything, mine, run, other = (
        bus.subscribe(),
        bus.subscribe(client="me"),
        bus.subscribe(run="r"),
        bus.subscribe(client="you"),
    )
    bus.publish(Message("of all"))
    bus.publish(Message("of r", "r", "me"))
    bus.publish(Message("of s", "s", "me"))
    bus.publish(Message("of nobody's", "t"))

    assert heard(everything) == ["of all", "of r", "of s", "of nobody's"]
    assert heard(mine) == ["of all", "of r", "of s"]
    assert heard(run) == ["of all", "of r"]
    assert heard(other) == ["of all"]


def test_it_knows_which_runs_somebody_looks_at():
    bus, told = Bus(), []
    bus.watch(told.append)
    everything = bus.subscribe()
    assert not bus.looked_at("r", "me")

    mine, run = bus.subscribe(client="me"), bus.subscribe(run="s")
    assert (bus.looked_at("r", "me"), bus.looked_at("s", "you")) == (True, True)
    assert (bus.looked_at("r", "you"), bus.looked_at("t", "")) == (False, False)

    for subscriber in (mine, run, everything):
        bus.unsubscribe(subscriber)
    assert not bus.looked_at("r", "me")
    assert len(bus) == 0
    assert [(topic.client, topic.run) for topic in told] == [
        *(("", ""), ("me", ""), ("", "s")),
        *(("me", ""), ("", "s"), ("", "")),
    ]


def test_the_slow_lose_pictures_first_and_then_everything():
    bus = Bus()
    subscriber = bus.subscribe()
    for _ in range(MOST_PASSING + 50):
        bus.publish(Message("progress", "r"))
    for _ in range(MOST_WAITING):
        bus.publish(Message("node_finished", "r"))

    assert subscriber.dropped
    assert asyncio.run(subscriber.next()) is None
