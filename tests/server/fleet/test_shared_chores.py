"""What only one of several servers has to do: send each webhook, and delete old runs."""

import asyncio
from collections import Counter

from server.store.runs import Ending, NewRun, Work
from server.store.store import Store
from server.webhooks.sender import Webhooks
from server.webhooks.signing import Signer, new_secret
from server.webhooks.targets import Targets
from tests.server.webhooks.test_delivery import receiving

DONE = Ending("succeeded", "run_finished", {})


async def finished(store, name, webhook=""):
    """Accept a run and end it."""
    await store.accept(NewRun(id=name, work=Work(prompt={}, targets=[]), webhook=webhook))
    await store.begin(name, "w", "a")
    await store.end(name, DONE)


def test_each_webhook_is_sent_by_one_server(database):
    names = [f"r{number}" for number in range(20)]

    async def scenario(receiver):
        stores = [Store(database) for _ in range(2)]
        senders = [
            Webhooks(store.deliveries, Targets(["127.0.0.1"]), Signer(new_secret()), shared=True)
            for store in stores
        ]
        for store in stores:
            await asyncio.to_thread(store.open)
        for name in names:
            await finished(stores[0], name, receiver.url())
        for sender in senders:
            await sender.start()
        async with asyncio.timeout(20):
            while await stores[1].deliveries.next_due(1):  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.02)
        for sender, store in zip(senders, stores, strict=True):
            await sender.stop()
            store.close()

    with receiving() as receiver:
        asyncio.run(scenario(receiver))
        heard = Counter({name: len(receiver.of(name)) for name in names})

    assert heard == dict.fromkeys(names, 1)


def test_servers_that_delete_old_runs_at_the_same_time_delete_each_once(database):
    async def scenario():
        stores = [Store(database) for _ in range(3)]
        for store in stores:
            await asyncio.to_thread(store.open)
        for number in range(30):
            await finished(stores[0], f"r{number}")
        removed = await asyncio.gather(
            *(store.prune(10, most=7) for store in stores for _ in range(3))
        )
        left = [run.id for run in await stores[0].runs()]
        for store in stores:
            store.close()
        return removed, left

    removed, left = asyncio.run(scenario())

    assert sum(removed) == 20
    assert left == [f"r{number}" for number in range(29, 19, -1)]
