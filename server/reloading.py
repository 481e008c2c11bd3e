"""`--reload-packs`: packs that somebody is writing are read again when their files change."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from nodegraph.errors import PackError
from server.services import Parts

_log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two looks at the files."""

Stamp = frozenset[tuple[str, int, int]]
"""The source files: path, time of change, size; and the folders."""


def reloading(parts: Parts) -> Callable[[web.Application], AsyncIterator[None]]:
    """Watch the packs as long as the application runs.

    What runs keeps the node types that it began with; the next run gets the new ones. Results of
    nodes whose code has not changed are still good.
    """

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_watch(parts))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return context


async def _watch(parts: Parts) -> None:
    seen = await asyncio.to_thread(_look, parts)
    while True:
        await asyncio.sleep(PAUSE)
        found = await asyncio.to_thread(_look, parts)
        if found != seen:
            seen = found
            try:
                await _reload(parts)
            except PackError as error:
                _log.warning("%s", error)


def _look(parts: Parts) -> Stamp | None:
    """What the packs' files look like; None while a pack that the settings name is not there."""
    try:
        return stamp(parts.registry.roots())
    except PackError:
        return None


async def _reload(parts: Parts) -> None:
    registry = parts.registry
    told = {str(problem) for problem in registry.problems}
    changed = await asyncio.to_thread(registry.refresh)
    for problem in registry.problems:
        if str(problem) not in told:
            _log.warning("%s", problem)
    if changed:
        _log.info("read again: %s", ", ".join(changed))
        for worker in parts.dispatcher.workers:
            await worker.reload()


def stamp(roots: Iterable[Path]) -> Stamp:
    """What the source files below these folders look like from outside."""
    found: set[tuple[str, int, int]] = set()
    for root in roots:
        with suppress(OSError):  # there is no such folder
            found |= {(str(path), 0, 0) for path in root.iterdir() if path.is_dir()}
        for path in root.rglob("*.py"):
            with suppress(OSError):  # it went at this moment
                facts = path.stat()
                found.add((str(path), facts.st_mtime_ns, facts.st_size))
    return frozenset(found)
