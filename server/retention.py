"""How long runs that are over are remembered; what they saved stays in the output folder."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from nodegraph.server_settings import ServerSettings
from server.errors import StorageError
from server.store.changes import now_ms
from server.store.store import Store

_log = logging.getLogger(__name__)
EVERY = 10.0
"""Seconds between two looks."""
_DAY = 24 * 60 * 60 * 1000


def retention(
    store: Store, settings: ServerSettings
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Keep the history within its limits while the application is up."""

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(retain(store, settings.history, settings.history_days))
        yield
        task.cancel()

    return context


async def retain(store: Store, count: int, days: float, pause: float = EVERY) -> None:
    """Remove again and again what is too much, and what is too old.

    Args:
        store: the queue.
        count: how many runs stay.
        days: how long each stays; 0 for ever.
        pause: seconds between two looks.
    """
    while True:
        try:
            since = now_ms() - int(days * _DAY) if days else 0
            removed = await store.keep(count, since)
        except StorageError as error:
            _log.error("%s", error)
            removed = 0
        if not removed:
            await asyncio.sleep(pause)
