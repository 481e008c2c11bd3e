"""Who hears of what."""

import asyncio

from server.scheduling import event_bus
from server.scheduling.event_bus import MOST_AT_ONCE, MOST_TRANSIENT, MOST_WAITING, Bus, Message


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


def test_the_messages_of_a_run_arrive_in_order_and_listeners_are_looked_up_once(monkeypatch):
    looked_up, find = list[str](), event_bus._topics_of

    def topics_of(message):
        looked_up.append(message.name)
        return find(message)

    monkeypatch.setattr(event_bus, "_topics_of", topics_of)
    bus = Bus()
    mine, run, other = bus.subscribe(client="me"), bus.subscribe(run="r"), bus.subscribe(run="s")

    bus.publish_all([Message(f"{k}", "r", "me") for k in range(5)])

    assert heard(mine) == heard(run) == ["0", "1", "2", "3", "4"]
    assert heard(other) == []
    assert looked_up == ["0"]


def test_it_knows_which_runs_somebody_looks_at():
    bus, told = Bus(), []
    bus.watch(told.append)
    everything = bus.subscribe()
    assert not bus.has_viewer("r", "me")

    mine, run = bus.subscribe(client="me"), bus.subscribe(run="s")
    assert (bus.has_viewer("r", "me"), bus.has_viewer("s", "you")) == (True, True)
    assert (bus.has_viewer("r", "you"), bus.has_viewer("t", "")) == (False, False)

    for subscriber in (mine, run, everything):
        bus.unsubscribe(subscriber)
    assert not bus.has_viewer("r", "me")
    assert len(bus) == 0
    assert [(topic.client, topic.run) for topic in told] == [
        *(("", ""), ("me", ""), ("", "s")),
        *(("me", ""), ("", "s"), ("", "")),
    ]


def test_the_slow_lose_what_passes_first():
    bus = Bus()
    subscriber = bus.subscribe()
    for _ in range(MOST_TRANSIENT + 50):
        bus.publish(Message("progress", "r"))
    bus.publish(Message("node_finished", "r"))

    assert not subscriber.take_missed()
    assert heard(subscriber) == ["progress"] * MOST_TRANSIENT + ["node_finished"]


def test_who_is_far_behind_knows_it_and_goes_on_from_now():
    bus = Bus()
    subscriber = bus.subscribe()
    for number in range(MOST_WAITING + 5):
        bus.publish(Message(f"node_finished {number}", "r"))

    assert (subscriber.take_missed(), subscriber.take_missed()) == (True, False)
    assert heard(subscriber) == [
        f"node_finished {number}" for number in range(MOST_WAITING, MOST_WAITING + 5)
    ]


def test_what_waits_comes_together():
    bus = Bus()
    subscriber = bus.subscribe()
    for number in range(MOST_AT_ONCE + 5):
        bus.publish(Message(str(number), "r"))
    subscriber.close()

    async def read() -> list[int]:
        return [len(await subscriber.next_batch()) for _ in range(3)]

    assert asyncio.run(read()) == [MOST_AT_ONCE, 5, 0]
