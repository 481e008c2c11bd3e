"""A queue for the reports of a run, between the worker's socket and the dispatcher."""

import asyncio
from collections import deque
from itertools import islice

from server.errors import WorkerLostError
from server.workers.worker import Report

MOST_WAITING = 1000
"""Reports that may wait; from then on the worker waits, and progress and previews are dropped."""
MOST_AT_ONCE = 500


class Inbox:
    """A short queue of the reports of one run."""

    def __init__(self) -> None:
        self._reports: deque[Report] = deque()
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._lost: WorkerLostError | None = None
        self._closed = False

    async def put(self, report: Report) -> None:
        """Add a report as soon as there is room; a transient one is dropped instead."""
        while len(self._reports) >= MOST_WAITING and not self._closed:
            if report.transient:
                return
            self._room.clear()
            await self._room.wait()
        self._reports.append(report)
        self._news.set()

    async def take(self) -> list[Report]:
        """Wait for reports and return those that are there, in order.

        Raises:
            WorkerLostError: the worker is dead, and all its reports are taken.
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
        """Note that the worker is dead; the reports that wait can still be taken."""
        self._lost = error
        self._news.set()

    def close(self) -> None:
        """Note that nobody takes reports any more."""
        self._closed = True
        self._room.set()
