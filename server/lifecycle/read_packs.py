"""Packs that are new or have changed are read while the server answers, at its start and later."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from pathlib import Path

from aiohttp import web

from nodegraph.errors import PackError
from nodegraph.packs.installed import problem_lines
from server.web.services import Parts

_log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two checks of the files."""

Stamp = frozenset[tuple[str, int, int]]
"""State of the source files: path, time of change and size of each; and the folders."""


def read_packs(parts: Parts, *, watch: bool) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a context that describes the packs that have yet to be described.

    Args:
        parts: the server's.
        watch: then watch the packs' files. Active runs keep the node types that they began with;
            the next run gets the new ones. Results of nodes whose code has not changed stay cached.
    """

    async def context(_app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(_read(parts, watch=watch))
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    return context


async def _read(parts: Parts, *, watch: bool) -> None:
    before = await asyncio.to_thread(_snapshot, parts) if watch else None
    if parts.registry.pending:
        await _read_pending(parts)
    while watch:
        await asyncio.sleep(PAUSE)
        now = await asyncio.to_thread(_snapshot, parts)
        if now != before:
            before = now
            try:
                await _reload(parts)
            except PackError as error:
                _log.warning("%s", error)


async def _read_pending(parts: Parts) -> None:
    """Describe packs, add each as soon as it is known, and tell the workers."""
    registry, began = parts.registry, time.monotonic()
    known = {str(problem) for problem in registry.problems}
    count = len(registry.pending)
    _log.info("reading %d packs anew; the server answers meanwhile", count)
    async for _ in _describe(parts):
        await asyncio.to_thread(registry.refresh)
        for worker in parts.dispatcher.workers:
            await worker.reload()
        await asyncio.sleep(PAUSE)  # Several that come close together are added at once.
    _log.info("%d packs are read after %.0f s", count, time.monotonic() - began)
    for line in problem_lines([each for each in registry.problems if str(each) not in known]):
        _log.warning("%s", line)


async def _describe(parts: Parts) -> AsyncIterator[None]:
    """Describe the packs that are not remembered; yield whenever some more are."""
    loop, done = asyncio.get_running_loop(), asyncio.Queue[bool]()
    sources, reader = await asyncio.to_thread(parts.registry.new_packs)

    def work() -> None:
        for _ in reader.read(sources):
            loop.call_soon_threadsafe(done.put_nowait, True)

    task = asyncio.create_task(asyncio.to_thread(work))
    task.add_done_callback(lambda _: done.put_nowait(False))
    more = True
    try:
        while more and await done.get():
            while more and not done.empty():
                more = done.get_nowait()
            yield
    finally:
        await asyncio.to_thread(reader.close)
        await task


def _snapshot(parts: Parts) -> Stamp | None:
    """Return the state of the packs' files; None while a pack of the settings is missing."""
    try:
        return stamp(parts.registry.roots())
    except PackError:
        return None


async def _reload(parts: Parts) -> None:
    registry = parts.registry
    known = {str(problem) for problem in registry.problems}
    async for _ in _describe(parts):
        pass  # They are remembered then, and the refresh finds them.
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
