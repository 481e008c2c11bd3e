"""Deletes old runs from the history; the files that they saved stay."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from nodegraph.settings.server import ServerSettings
from server.errors import StorageError
from server.store.changes import now_ms
from server.store.store import Store

_log = logging.getLogger(__name__)
EVERY = 10.0
"""Seconds between two checks."""
_DAY = 24 * 60 * 60 * 1000


def retention(
    store: Store, settings: ServerSettings
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a context that keeps the history within its limits while the application runs."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(retain(store, settings.history, settings.history_days))
        yield
        task.cancel()

    return context


async def retain(store: Store, count: int, days: float, pause: float = EVERY) -> None:
    """Delete the oldest runs beyond `count`, and those older than `days`, again and again.

    Args:
        store: the queue.
        count: the number of finished runs to keep.
        days: the number of days to keep a run; 0 is for ever.
        pause: seconds between two checks.
    """
    while True:
        try:
            since = now_ms() - int(days * _DAY) if days else 0
            removed = await store.prune(count, since)
        except StorageError as error:
            _log.error("%s", error)
            removed = 0
        if not removed:
            await asyncio.sleep(pause)
