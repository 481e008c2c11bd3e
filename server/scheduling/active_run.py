"""A run that a worker computes."""

import asyncio
from dataclasses import dataclass

from server.errors import DamagedRunError
from server.store.runs import Run, Work
from server.workers.worker import Worker


@dataclass(slots=True)
class ActiveRun:
    """A run from the moment it is given to a worker until its end is recorded."""

    run: Run
    """The run as it will be recorded; from then on, as it is."""
    work: Work | DamagedRunError
    worker: Worker
    begun_at: float = 0.0
    """The time when it was given to the worker, in seconds."""
    was_warm: bool = False
    """True if the worker had all its models in memory then."""
    begun: asyncio.Task[None] | None = None
    """Records that it has begun, while the worker already computes it."""
    task: asyncio.Task[None] | None = None
    cancelled: bool = False
    is_lost: bool = False
    """True if another server has taken it over: nothing more is recorded."""
    computed: bool = False
    """True if its worker is done with it, and only its end has to be recorded."""

    async def has_begun(self) -> None:
        """Wait until it is recorded that it has begun; raise if that failed."""
        if self.begun:
            await self.begun

    async def settle(self) -> Run:
        """Return the run, once it is recorded that it has begun, or clear that it can not be."""
        if self.begun:
            await asyncio.wait([self.begun])
        return self.run
