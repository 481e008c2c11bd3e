"""One run's reports between the worker's socket and the dispatcher."""

import asyncio
from collections import deque
from itertools import islice

from server.errors import WorkerLostError
from server.workers.worker import Report

MOST_WAITING = 1000
"""Reports that may wait; then the worker waits too, and loses progress and previews."""
MOST_AT_ONCE = 500


class Inbox:
    """Holds what came and was not yet taken; never more than a little."""

    def __init__(self) -> None:
        self._reports: deque[Report] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._lost: WorkerLostError | None = None
        self._closed = False

    async def put(self, report: Report) -> None:
        """Add a report, as soon as there is room; one that nobody keeps is left out instead."""
        while len(self._reports) >= MOST_WAITING and not self._closed:
            if report.passing:
                return
            self._room.clear()
            await self._room.wait()
        self._reports.append(report)
        self._news.set()

    async def take(self) -> list[Report]:
        """What is there, in order; waits until there is something.

        Raises:
            WorkerLostError: nothing more will come.
        """
        while not self._reports:
            if self._lost is not None:
                raise self._lost
            self._news.clear()
            await self._news.wait()
        batch = list(islice(self._reports, MOST_AT_ONCE))
        for _ in batch:
            self._reports.popleft()
        self._room.set()
        return batch

    def lose(self, error: WorkerLostError) -> None:
        """The worker is dead; what it said before still counts."""
        self._lost = error
        self._news.set()

    def close(self) -> None:
        """Nobody takes anything any more."""
        self._closed = True
        self._room.set()
