"""Which run comes next: a pure function of what waits and of who could take it."""

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
    """It may have killed a worker, and therefore gets one for itself."""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Slot:
    """A worker that is ready."""

    worker: str
    free: int
    """How many more runs it takes."""
    busy: int
    """How many it has."""
    alone: bool = False
    """Whether one of these must be alone."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run and the worker that gets it."""

    run: str
    worker: str


def pick(queue: Iterable[Waiting], slots: Sequence[Slot]) -> Assignment | None:
    """The first of the queue that some worker can take, and the least busy that can; or nothing.

    A suspect waits for a worker that has nothing else, and holds back what comes after it there
    until it has one, for else it might wait for ever.
    """
    usable = sorted((slot for slot in slots if slot.free and not slot.alone), key=lambda s: s.busy)
    for run in queue:
        if not usable:
            return None
        if not run.suspect or not usable[0].busy:
            return Assignment(run.id, usable[0].worker)
        usable = usable[1:]
    return None
