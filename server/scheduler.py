"""Which run comes next: a pure function of what waits and of who could take it."""

from collections.abc import Collection, Mapping, Sequence
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


def order(waiting: Collection[Waiting], served: Mapping[str, int]) -> list[Waiting]:
    """The queue, next first.

    Higher priorities come first. Inside one, clients take turns, the one that was served longest
    ago first; a client's own runs come by their numbers.

    Args:
        waiting: what waits.
        served: when each client had its last turn, as a number that grows; 0 if never.
    """
    by_client: dict[tuple[int, str], list[Waiting]] = {}
    for run in waiting:
        by_client.setdefault((-run.priority, run.client), []).append(run)
    turns: list[tuple[tuple[int, int, int, float, int], Waiting]] = []
    for (priority, client), runs in by_client.items():
        runs.sort(key=lambda run: (run.number, run.seq))
        for turn, run in enumerate(runs):
            key = (priority, turn, served.get(client, 0), runs[0].number, run.seq)
            turns.append((key, run))
    turns.sort(key=lambda item: item[0])
    return [run for _, run in turns]


def pick(queue: Sequence[Waiting], slots: Sequence[Slot]) -> Assignment | None:
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
