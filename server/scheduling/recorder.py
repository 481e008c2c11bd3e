"""Records the events of runs in the store, then publishes them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from server.errors import (
    LostAttemptError,
    RunStateError,
    ServerError,
    StorageError,
    UnknownRunError,
)
from server.observability.observer import ModelUse, Observer
from server.scheduling.event_bus import Message
from server.store.runs import Attempt, Ending, Milestone, Run, State
from server.store.store import Store
from server.workers.worker import Report

T = TypeVar("T")
_log = logging.getLogger(__name__)

PAUSE = 1.0
"""Seconds until a failed write is tried again."""
STOPPED = "the server was stopped"
"""The reason why the runs of a server that begins anew wait again."""
OVER = ("run_finished", "run_failed", "run_cancelled")
"""The events that a run ends with."""
_ENDS: Mapping[State, str] = {
    "succeeded": "run_finished",
    "failed": "run_failed",
    "cancelled": "run_cancelled",
}


class Outlet(Protocol):
    """Takes what is to be published; the bus is one."""

    @property
    def idle(self) -> bool:
        """True if nobody listens."""
        ...

    def publish_all(self, messages: Sequence[Message]) -> None:
        """Publish messages about the same run, in order."""
        ...


class Recorder:
    """Takes the reports of workers to the store, and from there to the bus.

    Args:
        store: records every event first.
        outlet: publishes it afterwards.
        observers: hear of runs, nodes and models.
    """

    def __init__(self, store: Store, outlet: Outlet, observers: Sequence[Observer]) -> None:
        self.outlet = outlet
        self.server = ""
        """The name of this server among those that share the store; empty if it is alone."""
        self._store = store
        self._observers = observers

    async def begin(self, run_id: str, worker: str) -> Run:
        """Record that a worker computes a waiting run, and return the run.

        Raises:
            RunStateError: it does not wait, and this server is alone.
            LostAttemptError: another server has it, or it is over.
            StorageError: it could not be written.
        """
        try:
            run = await self._store.begin(run_id, worker, self.server)
        except (RunStateError, UnknownRunError) as error:
            if not self.server:
                raise
            run = await self._begun_before(run_id, worker, error)
        for observer in self._observers:
            observer.run_begun(run)
        return run

    async def _begun_before(self, run_id: str, worker: str, error: ServerError) -> Run:
        """Return a run that was begun here although the reply to that was lost."""
        run = await self._store.find(run_id)
        mine = ("running", worker, self.server)
        if run is None or (run.state, run.worker, run.server) != mine:
            raise LostAttemptError(run_id) from error
        return run

    async def cancel(self, run_id: str) -> None:
        """Cancel a run wherever it is; try again until the disk takes it."""
        await _retry_until_stored(lambda: self._store.cancel(run_id))

    async def record(self, run: Run, reports: Sequence[Report]) -> None:
        """Store the reports that are kept, then publish all of them in order.

        Raises:
            LostAttemptError: another server has taken the run over; nothing was changed.
        """
        kept = [
            (report.name, report.data)
            for report in reports
            if not report.transient and report.name not in (*OVER, "done")
        ]
        done = reports[-1].data if reports[-1].name == "done" else None
        ending = _ending(done["state"], done) if done else None
        milestones, ended = await _retry_until_stored(lambda: self._write(run, kept, ending))
        for observer in self._observers:
            for name, data in kept:
                observer.run_reported(run, name, data)
        if not self.outlet.idle:
            self.outlet.publish_all(list(_messages(run, reports, milestones)))
        self.note_end(ended)

    async def end(self, run: Run, state: State, data: Mapping[str, Any] | None = None) -> None:
        """Record the end of a run; try again until the disk takes it.

        Raises:
            LostAttemptError: another server has taken the run over; nothing was changed.
        """
        ending = _ending(state, data or {})
        attempt = self._attempt(run)
        self.note_end(await _retry_until_stored(lambda: self._store.end(run.id, ending, attempt)))

    async def end_once(self, run_id: str, state: State) -> None:
        """Record the end of a run; try only once.

        Raises:
            StorageError: it could not be written.
        """
        self.note_end(await self._store.end(run_id, _ending(state, {})))

    async def requeue(self, run: Run, reason: str, *, suspect: bool, charged: bool) -> Run:
        """Put a run back into the queue and return it; see `Store.requeue`."""
        attempt = self._attempt(run)
        again, event = await _retry_until_stored(
            lambda: self._store.requeue(
                run.id, reason, suspect=suspect, charged=charged, attempt=attempt
            )
        )
        self.note_given_up(run, reason)
        self.publish(again, [event])
        return again

    def note_given_up(self, run: Run, reason: str) -> None:
        """Have it heard that an attempt failed, and that its run waits again; that is stored."""
        for observer in self._observers:
            observer.run_given_up(run, reason)

    def note_put_back(self, run: Run, event: Milestone, reason: str) -> None:
        """Have it heard that a run of a server that is gone waits again, or is over, as stored.

        Args:
            run: the run as it is now.
            event: the event that says so.
            reason: the reason why its attempt is given up.
        """
        self.note_given_up(run, reason)
        if run.is_over:
            self.note_end((run, event))

    def note_lost(self, run: Run) -> None:
        """Have it heard that another server has a run."""
        for observer in self._observers:
            observer.run_lost(run)

    def note_model(self, use: ModelUse) -> None:
        """Have it heard that a run uses a network."""
        for observer in self._observers:
            observer.model_used(use)

    def publish(self, run: Run, milestones: Collection[Milestone]) -> None:
        """Publish events that are stored."""
        if not self.outlet.idle:
            self.outlet.publish_all([milestone_message(run, event) for event in milestones])

    async def _write(
        self, run: Run, kept: Sequence[tuple[str, Mapping[str, Any]]], ending: Ending | None
    ) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
        if not kept and ending is None:
            return [], None
        return await self._store.report(run.id, kept, ending, self._attempt(run))

    def _attempt(self, run: Run) -> Attempt | None:
        """Return the attempt that a report has to be of; None if no other server can have it."""
        return run.attempt if self.server else None

    def note_end(self, ended: tuple[Run, Milestone] | None) -> None:
        """Count, log and publish the end of a run that is stored; None is no end."""
        if ended:
            run, last = ended
            for observer in self._observers:
                observer.run_ended(run, last.data)
            _log_end(run, last.data)
            self.publish(run, [last])


def _messages(
    run: Run, reports: Sequence[Report], milestones: Sequence[Milestone]
) -> Iterator[Message]:
    """Yield the messages about reports in their order; none of a milestone of a deleted run."""
    following = iter(milestones)
    about = (run.id, run.client, run.owner)
    for report in reports:
        if report.transient:
            yield Message(report.name, *about, data=report.data, payload=report.payload)
        elif report.name not in (*OVER, "done") and (event := next(following, None)):
            yield milestone_message(run, event)


def milestone_message(run: Run, event: Milestone) -> Message:
    """Return a stored event of a run as a message."""
    data = {**event.data, "time_ms": event.time_ms}
    return Message(event.name, run.id, run.client, run.owner, event.id, event.sequence, data)


def _log_end(run: Run, data: Mapping[str, Any]) -> None:
    """Log one line about a run that is over: its end, its time, its nodes, and who began it."""
    seconds = ((run.finished_ms or 0) - run.started_ms) / 1000 if run.started_ms else 0.0
    error, counted = data.get("error"), "executed" in data
    nodes = f": {data['executed']} nodes run, {data['cached']} cached" if counted else ""
    _log.info(
        "%s%s after %.2f s%s%s",
        *(run.state, f" ({error.get('code')})" if error else "", seconds, nodes, _beginner(run)),
        extra={"run": run.id, **({"worker": run.worker} if run.worker else {})},
    )


def _beginner(run: Run) -> str:
    """Return who began a run, as far as that is known, for the end of a log line."""
    client = f"client {run.client!r}" if run.client else ""
    known = " of ".join(part for part in (client, run.owner) if part)
    return f"; begun by {known}" if known else ""


async def _retry_until_stored(write: Callable[[], Awaitable[T]]) -> T:
    """Write, and try again until the disk takes it: results must not be lost."""
    while True:
        try:
            return await write()
        except StorageError as error:
            _log.error("%s", error)
            await asyncio.sleep(PAUSE)


def _ending(state: State, data: Mapping[str, Any]) -> Ending:
    facts = {k: v for k, v in data.items() if k in ("error", "executed", "cached")}
    return Ending(state, _ENDS[state], facts)
