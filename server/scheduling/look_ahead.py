"""Tells a worker which run it will probably get next, while it computes the one before."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import suppress

from nodegraph.errors import NodeGraphError
from server.scheduling.fair_queue import FairQueue
from server.store.store import Store
from server.workers.worker import Worker

PAUSE = 0.25
"""Seconds between two looks at the queue: a run that waits less needs no preparation."""


async def look_ahead(
    queue: FairQueue,
    store: Store,
    workers: Collection[Worker],
    is_busy: Callable[[], bool],
    pause: float = PAUSE,
) -> None:
    """Tell a worker of the first run of the queue, once for each, as long as runs are computed.

    Args:
        queue: of the waiting runs.
        store: has their graphs.
        workers: one that is ready is told; what it reads, the system keeps for all.
        is_busy: returns True while a run is computed.
        pause: seconds between two looks.
    """
    seen, told = "", ""
    while True:
        await asyncio.sleep(pause)
        own = () in queue.places and is_busy()
        run = next((each.id for each in queue if not each.servers), "") if own else ""
        if run and run == seen and run != told:
            told = run
            with suppress(NodeGraphError):  # deleted or damaged, or the worker has just died
                work = await store.work(run)
                for worker in [each for each in workers if each.ready and not each.server][:1]:
                    await worker.expect(work.prompt)
        seen = run
