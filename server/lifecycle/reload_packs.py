"""`--reload-packs`: packs are loaded again when their files change."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from nodegraph.errors import PackError
from server.web.services import Parts

_log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two checks of the files."""

Stamp = frozenset[tuple[str, int, int]]
"""State of the source files: path, time of change and size of each; and the folders."""


def reload_packs(parts: Parts) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a context that watches the packs' files while the application runs.

    Active runs keep the node types that they began with; the next run gets the new ones. Results
    of nodes whose code has not changed stay cached.
    """

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_watch(parts))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return context


async def _watch(parts: Parts) -> None:
    before = await asyncio.to_thread(_snapshot, parts)
    while True:
        await asyncio.sleep(PAUSE)
        now = await asyncio.to_thread(_snapshot, parts)
        if now != before:
            before = now
            try:
                await _reload(parts)
            except PackError as error:
                _log.warning("%s", error)


def _snapshot(parts: Parts) -> Stamp | None:
    """Return the state of the packs' files; None while a pack of the settings is missing."""
    try:
        return stamp(parts.registry.roots())
    except PackError:
        return None


async def _reload(parts: Parts) -> None:
    registry = parts.registry
    known = {str(problem) for problem in registry.problems}
    changed = await asyncio.to_thread(registry.refresh)
    for problem in registry.problems:
        if str(problem) not in known:
            _log.warning("%s", problem)
    if changed:
        _log.info("reloaded: %s", ", ".join(changed))
        for worker in parts.dispatcher.workers:
            await worker.reload()


def stamp(roots: Iterable[Path]) -> Stamp:
    """Return the state of the source files below these folders."""
    found: set[tuple[str, int, int]] = set()
    for root in roots:
        with suppress(OSError):  # the folder does not exist
            found |= {(str(path), 0, 0) for path in root.iterdir() if path.is_dir()}
        for path in root.rglob("*.py"):
            with suppress(OSError):  # removed in the meantime
                facts = path.stat()
                found.add((str(path), facts.st_mtime_ns, facts.st_size))
    return frozenset(found)
