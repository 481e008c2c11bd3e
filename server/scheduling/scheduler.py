"""The scheduler: picks the next run and its worker, as a pure function."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """A run in the queue."""

    id: str
    client: str
    priority: int
    number: float
    seq: int
    suspect: bool = False
    """True if it may have killed a worker; it then runs alone on a worker."""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker that is ready."""

    worker: str
    free: int
    """Number of further runs that it takes."""
    busy: int
    """Number of runs that it is computing."""
    alone: bool = False
    """True if one of these must run alone."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run and the worker that gets it."""

    run: str
    worker: str


def pick(queue: Iterable[Waiting], slots: Sequence[Slot]) -> Assignment | None:
    """Return the first run of the queue that a worker can take, with the least busy such worker.

    A suspect run waits for an idle worker. It holds back the runs behind it on one worker until
    that is idle; otherwise it might wait for ever.
    """
    usable = sorted((slot for slot in slots if slot.free and not slot.alone), key=lambda s: s.busy)
    for run in queue:
        if not usable:
            return None
        if not run.suspect or not usable[0].busy:
            return Assignment(run.id, usable[0].worker)
        usable = usable[1:]
    return None
