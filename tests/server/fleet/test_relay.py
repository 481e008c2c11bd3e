"""Events of all servers on one bus: in order, with what passes between them, and none missed."""

import asyncio

from server.fleet import relay as module
from server.fleet.relay import Relay, RelayHooks
from server.scheduling.event_bus import Bus, Message
from server.store.runs import NewRun, Work
from server.store.store import Store


class Desk:
    """A relay, its store and all that it published."""

    def __init__(self, path):
        self.store = Store(path)
        self.bus = Bus()
        self.moved, self.passed = [], []
        hooks = RelayHooks(
            lambda runs: self.moved.extend((run.id, run.state) for run in runs),
            lambda message, after: self.passed.append((message.name, after)),
        )
        self.relay = Relay(self.store, self.bus, hooks)
        self.subscriber = self.bus.subscribe()

    async def __aenter__(self):
        self.store.open()
        await self.accept("before")
        await self.relay.begin()
        self._task = asyncio.create_task(self.relay.run())
        return self

    async def __aexit__(self, *_):
        self._task.cancel()
        self.store.close()

    async def accept(self, name):
        work = Work(prompt={}, targets=[])
        accepted = await self.store.accept(NewRun(id=name, work=work, client="c"))
        assert accepted.event
        return accepted.event.id

    async def heard(self, count):
        found = []
        async with asyncio.timeout(10):
            while len(found) < count:
                message = await self.subscriber.next()
                assert message
                found.append((message.run, message.name, message.client))
        return found


def play(scenario, path):
    async def work():
        async with Desk(path / "queue.sqlite") as desk:
            return await scenario(desk)

    return asyncio.run(work())


def test_events_of_others_are_published_once_it_is_woken_and_who_waits_goes_on(tmp_path):
    async def scenario(desk):
        numbers = [await desk.accept(name) for name in ("x", "y")]
        await desk.relay.reach(numbers[-1])
        return await desk.heard(2), desk.moved

    heard, moved = play(scenario, tmp_path)

    assert heard == [("x", "run_queued", "c"), ("y", "run_queued", "c")]
    assert moved == [("x", "queued"), ("y", "queued")]


def test_without_any_notice_they_come_a_little_later(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EVERY", 0.02)

    async def scenario(desk):
        await asyncio.sleep(0.05)
        await desk.accept("x")
        return await desk.heard(1)

    assert play(scenario, tmp_path) == [("x", "run_queued", "c")]


def test_what_passes_waits_for_the_milestone_before_it(tmp_path):
    async def scenario(desk):
        number = await desk.accept("x")
        milestone = Message("node_started", "x", id=number)
        progress = Message("progress", "x", data={"value": 1})
        desk.relay.publish_all([milestone, progress])
        desk.relay.hold(Message("preview", "y"), number)
        return number, await desk.heard(3), desk.passed

    number, heard, passed = play(scenario, tmp_path)

    assert [name for _, name, _ in heard] == ["run_queued", "progress", "preview"]
    assert passed == [("progress", number)]


def test_the_state_of_a_run_is_looked_at_when_somebody_asks(tmp_path):
    async def scenario(desk):
        desk.relay.ask("before")
        async with asyncio.timeout(10):
            while not desk.moved:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.01)
        return desk.moved

    assert play(scenario, tmp_path) == [("before", "queued")]
