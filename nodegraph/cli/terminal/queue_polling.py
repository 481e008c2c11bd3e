"""Ask a server for its queue again and again, and listen to the runs that are under way."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from nodegraph.cli.terminal.cache_view import read_stats
from nodegraph.cli.terminal.queue_view import Queue, QueueView, RunActivity
from nodegraph.client import AsyncClient, Run, UnavailableError, UnreachableError
from nodegraph.client.errors import NotFoundError

PAUSE = 0.5
"""Seconds between two looks."""
MOST = 1000


async def follow_queue(client: AsyncClient, view: QueueView, last: int) -> None:
    """Show a queue, for ever; while the server is away, say so.

    Args:
        client: has no patience, so that it is known at once when the server is away.
        view: shows it.
        last: how many of those that are over.

    Raises:
        RefusedError: the server wants a token, or does not know what was asked.
    """
    followers = _Followers(client)
    try:
        while True:
            try:
                queue = await _look(client, last)
            except (UnreachableError, UnavailableError) as error:
                view.show_unreachable(error.message)
            else:
                followers.follow(run.id for run in queue.running)
                view.show(queue, followers.doing)
            await asyncio.sleep(PAUSE)
    finally:
        followers.follow(())


async def _look(client: AsyncClient, last: int) -> Queue:
    running = await client.runs("running", limit=MOST)
    waiting = await client.runs("queued", limit=MOST)
    over = await client.runs("succeeded", "failed", "cancelled", limit=last) if last else []
    caches = read_stats(await client.metrics())
    running = _without(running, [*waiting, *over])
    waiting = sorted(_without(waiting, over), key=lambda run: run.position or 0)
    return Queue(running, waiting, over, *caches)


def _without(runs: Iterable[Run], later: Iterable[Run]) -> list[Run]:
    """Return the runs that a later reply does not have in another state."""
    moved = {run.id for run in later}
    return [run for run in runs if run.id not in moved]


class _Followers:
    """Listens to each run that is under way.

    Args:
        client: asks the server.
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.doing: dict[str, RunActivity] = {}
        """The activity of each run, as far as it is known."""

    def follow(self, runs: Iterable[str]) -> None:
        """Listen to these, and to no others."""
        wanted = set(runs)
        for run in self._tasks.keys() - wanted:
            self._tasks.pop(run).cancel()
            self.doing.pop(run, None)
        for run in wanted:
            task = self._tasks.get(run)
            if task is None or task.done():
                self._tasks[run] = asyncio.create_task(self._listen(run))

    async def _listen(self, run: str) -> None:
        doing = self.doing.setdefault(run, RunActivity())
        with suppress(UnreachableError, UnavailableError, NotFoundError):
            async for event in self._client.follow(run):
                doing.take(event)
