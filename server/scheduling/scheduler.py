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
    servers: tuple[str, ...] = ()
    """The ComfyUI servers that may run it; workers of our own run it if there are none."""


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
    server: str = ""
    """The ComfyUI server that the worker stands for; empty for one of our own."""

    def takes(self, servers: tuple[str, ...]) -> bool:
        """Return True if it may get a run that these servers may run."""
        return self.server in servers if servers else not self.server


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
        first = next((slot for slot in usable if slot.takes(run.servers)), None)
        if first is None:
            continue
        if not run.suspect or not first.busy:
            return Assignment(run.id, first.worker)
        usable.remove(first)
    return None
