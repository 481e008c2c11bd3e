"""Servers of a fleet: without HTTP in the test's process, and whole ones as processes."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from server.fleet.dispatcher import FleetDispatcher
from server.fleet.joining import join_fleet
from server.fleet.lease import Seat
from server.scheduling.event_bus import Bus
from server.store.runs import NewRun, Work
from server.store.store import Store
from server.workers.worker import Report
from tests.server.collector import Tracer
from tests.server.scheduling.test_dispatcher import DONE, FINISHED, Scripted
from tests.server.serving import TOYS, Server, serving

ENDS = ("run_finished", "run_failed", "run_cancelled")


NODE = {"node_id": "1", "type_name": "Toy", "shown_as": "1"}


class Stepping(Scripted):
    """A worker whose runs tell that they start, and of each step."""

    async def run(self, order):
        self.begun.append(order.run)
        steps = order.work.prompt["steps"]
        yield [Report("run_started"), Report("node_started", NODE)]
        for step in range(steps):
            await asyncio.sleep(0.005)
            if order.run in self.cancelled:
                yield [Report("done", {"state": "cancelled"})]
                return
            yield [Report("progress", {"value": step + 1})]
        yield [Report("node_finished", FINISHED), DONE]


class Member:
    """A dispatcher that shares a Postgres with others, its worker, and all that it published."""

    def __init__(
        self, url: str, name: str, lease: float = 1.0, slots: int = 1, address: str = ""
    ) -> None:
        self.name = name
        self.store = Store(url)
        self.bus = Bus()
        self.tracer = Tracer()
        self.dispatcher = FleetDispatcher(self.store, self.bus, observers=[self.tracer.runs])
        self.worker = Stepping(name, slots)
        self.dispatcher.workers.append(self.worker)
        join_fleet(self.dispatcher, Seat(name, address or f"here:{name}", lease))
        self.subscriber = self.bus.subscribe()
        self.heard = []

    async def __aenter__(self):
        await asyncio.to_thread(self.store.open)
        await self.dispatcher.start()
        return self

    async def __aexit__(self, *_):
        await self.dispatcher.stop()
        self.store.close()

    async def submit(self, name, *, steps=1, **options):
        work = Work(prompt={"steps": steps}, targets=[])
        return await self.dispatcher.submit(NewRun(id=name, work=work, **options))

    async def until(self, true):
        """Listen until something is so; give up after a while."""
        async with asyncio.timeout(20):
            while not true(self):
                message = await self.subscriber.next()
                assert message
                self.heard.append(message)

    async def over(self, *runs):
        """Listen until these runs are over."""
        await self.until(lambda self: {*runs} <= {m.run for m in self.heard if m.name in ENDS})

    def milestones(self):
        """The ids and names of the milestones that were published."""
        return [(message.id, message.name) for message in self.heard if message.id is not None]

    def names(self, run):
        return [message.name for message in self.heard if message.run == run]


async def until(true):
    """Wait until something is so, of which nobody is told."""
    async with asyncio.timeout(20):
        while not true():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


@contextmanager
def serving_in_fleet(
    home: Path, url: str, name: str, *flags: str, lease: float = 10, ready: bool = True
) -> Generator[Server]:
    """`nodegraph serve` as one of several: folders are shared, but for the server's own data."""
    environment = {
        **TOYS,
        "NODEGRAPH_SERVER_NAME": name,
        "NODEGRAPH_SERVER_LEASE": str(lease),
    }
    environment["NODEGRAPH_SERVER_DATABASE"] = url
    own = ("--data-dir", str(home / f"data-{name}"))
    with serving(home, [*own, *flags], environment, ready=ready) as server:
        yield server
