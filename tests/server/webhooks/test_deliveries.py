"""What is kept until it is told; names that lead to where nothing may be sent."""

import asyncio
import sqlite3

from server.store.runs import Ending, NewRun, Work
from server.store.schema import STEPS
from server.store.store import Store
from server.webhooks.sender import Webhooks
from server.webhooks.signing import Signer
from server.webhooks.targets import Targets
from tests.server.postgres import queue_in
from tests.server.webhooks.test_delivery import SECRET, receiving


async def ended_run(store, url):
    """A run that is over and has a webhook."""
    work = Work(prompt={}, targets=[])
    await store.accept(NewRun(id="r", work=work, webhook=url))
    await store.begin("r", "w")
    await store.end("r", Ending("succeeded", "run_finished", {}))


async def first(store, wanted):
    """The first delivery once `wanted` says so."""
    async with asyncio.timeout(30):
        while True:
            found = await store.deliveries.next_due(1)
            if wanted(found):
                return found
            await asyncio.sleep(0.02)


def test_a_name_that_leads_to_this_machine_is_told_only_if_that_is_allowed_too(tmp_path):
    async def attempt(store, wanted, *hosts):
        webhooks = Webhooks(store.deliveries, Targets(hosts), Signer(SECRET))
        await webhooks.start()
        found = await first(store, wanted)
        await webhooks.stop()
        return found

    async def scenario(receiver):
        store = Store(queue_in(tmp_path))
        store.open()
        await ended_run(store, receiver.url(host="localhost"))
        (kept,) = await attempt(store, lambda found: found[0].failures == 1, "localhost")
        heard_before = len(receiver.heard)
        await attempt(store, lambda found: not found, "localhost", "127.0.0.0/8", "::1")
        store.close()
        return kept, heard_before, len(receiver.heard)

    with receiving() as receiver:
        kept, before, after = asyncio.run(scenario(receiver))
    assert (kept.run, before, after) == ("r", 0, 1)


def test_a_host_that_is_no_longer_allowed_is_not_told(tmp_path):
    async def scenario(receiver):
        store = Store(queue_in(tmp_path))
        store.open()
        await ended_run(store, receiver.url())
        webhooks = Webhooks(store.deliveries, Targets([]), Signer(SECRET))
        await webhooks.start()
        await first(store, lambda found: not found)
        await webhooks.stop()
        store.close()

    with receiving() as receiver:
        asyncio.run(scenario(receiver))
        assert receiver.heard == []


def test_a_run_without_a_webhook_is_told_nobody(tmp_path):
    async def scenario():
        store = Store(queue_in(tmp_path))
        store.open()
        await ended_run(store, "")
        found = await store.deliveries.next_due(10)
        store.close()
        return found

    assert asyncio.run(scenario()) == []


def test_a_queue_of_the_first_version_is_brought_up_to_date(tmp_path):
    path = tmp_path / "queue.sqlite"
    with sqlite3.connect(path) as old:
        old.executescript(STEPS[0] + "PRAGMA user_version = 1;")
        old.execute(
            "INSERT INTO runs (id, client, priority, number, state, created_ms)"
            " VALUES ('old', '', 0, 0, 'succeeded', 1)"
        )
    old.close()

    async def scenario():
        store = Store(path)
        store.open()
        await ended_run(store, "http://h/")
        found = (await store.run("old")).id, await store.deliveries.next_due(10)
        store.close()
        return found

    kept, (delivery,) = asyncio.run(scenario())
    assert (kept, delivery.run, delivery.failures) == ("old", "r", 0)


def test_it_stops_whatever_happens_at_that_moment(tmp_path):
    async def scenario():
        store = Store(queue_in(tmp_path))
        store.open()
        webhooks = Webhooks(store.deliveries, Targets([]), Signer(SECRET))
        for pause in (0, 0, 0, 0.001, 0.001):
            await webhooks.start()
            await asyncio.sleep(0.02)
            store.deliveries.changed.set()
            await asyncio.sleep(pause)
            async with asyncio.timeout(10):
                await webhooks.stop()
        store.close()

    asyncio.run(scenario())
