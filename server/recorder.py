"""Writes down what becomes of runs; what is written down is told to all who listen."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from server.bus import Bus, Message
from server.errors import StorageError
from server.metrics import Metrics
from server.store.runs import Ending, Milestone, Run, State
from server.store.store import Store
from server.workers.worker import Report

T = TypeVar("T")
_log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds until the disk is tried again."""
_OVER = ("run_finished", "run_failed", "run_cancelled")
_ENDS: Mapping[State, str] = {
    "succeeded": "run_finished",
    "failed": "run_failed",
    "cancelled": "run_cancelled",
}


class Recorder:
    """The way from a worker's report to the store and from there to listeners.

    Args:
        store: where everything is written down first.
        bus: where it is told then.
        metrics: count it.
    """

    def __init__(self, store: Store, bus: Bus, metrics: Metrics) -> None:
        self._store = store
        self._bus = bus
        self._metrics = metrics

    async def take(self, run: Run, reports: Sequence[Report]) -> None:
        """Write down what is worth it, then tell everything in order."""
        kept = [
            (report.name, report.data)
            for report in reports
            if not report.passing and report.name not in (*_OVER, "done")
        ]
        done = reports[-1].data if reports[-1].name == "done" else None
        ending = _ending(done["state"], done) if done else None
        milestones, ended = await _written(lambda: self._write(run, kept, ending))
        following = iter(milestones)
        for report in reports:
            if report.name == "node_finished":
                self._metrics.node_finished(report.data["type_name"], report.data["seconds"])
            if report.passing:
                self._publish(run, Message(report.name, data=report.data, payload=report.payload))
            elif report.name not in (*_OVER, "done"):
                self.tell(run, [event for event in [next(following, None)] if event])
        self._tell_end(ended)

    async def end(self, run: Run, state: State, data: Mapping[str, Any] | None = None) -> None:
        """A run is over; that is written as soon as the disk takes it."""
        ending = _ending(state, data or {})
        self._tell_end(await _written(lambda: self._store.end(run.id, ending)))

    async def end_once(self, run_id: str, state: State) -> None:
        """The same, tried once.

        Raises:
            StorageError: that could not be written.
        """
        self._tell_end(await self._store.end(run_id, _ending(state, {})))

    async def requeue(self, run: Run, reason: str, *, suspect: bool, charged: bool) -> Run:
        """A run goes back into the queue; see `Store.requeue`. What it is then."""
        again, event = await _written(
            lambda: self._store.requeue(run.id, reason, suspect=suspect, charged=charged)
        )
        self.tell(again, [event])
        return again

    def tell(self, run: Run, milestones: Collection[Milestone]) -> None:
        """Tell what is written down."""
        for event in milestones:
            data = {**event.data, "time_ms": event.time_ms}
            self._publish(run, Message(event.name, id=event.id, sequence=event.sequence, data=data))

    async def _write(
        self, run: Run, kept: Sequence[tuple[str, Mapping[str, Any]]], ending: Ending | None
    ) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
        if not kept and ending is None:
            return [], None
        return await self._store.report(run.id, kept, ending)

    def _tell_end(self, ended: tuple[Run, Milestone] | None) -> None:
        if ended:
            self._metrics.run_ended(ended[0])
            self.tell(ended[0], [ended[1]])

    def _publish(self, run: Run, message: Message) -> None:
        self._bus.publish(message.about(run.id, run.client, run.owner))


async def _written(write: Callable[[], Awaitable[T]]) -> T:
    """Write until the disk takes it: what was computed must not be lost with the first try."""
    while True:
        try:
            return await write()
        except StorageError as error:
            _log.error("%s", error)
            await asyncio.sleep(PAUSE)


def _ending(state: State, data: Mapping[str, Any]) -> Ending:
    facts = {k: v for k, v in data.items() if k in ("error", "executed", "cached")}
    return Ending(state, _ENDS[state], facts)
