"""The scheduler: picks the next run and its worker, as a pure function."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from math import inf

_LATE = 2.0
"""As many times the seconds of a run after its beginning, nobody knows when it will end."""
AT_MOST = 500
"""The runs of a queue that are looked at for one whose models a worker has in memory."""


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
    models: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    """The model files that it reads, and their bytes."""
    since: float = 0.0
    """The time from which it has waited, in seconds."""


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
    models: Collection[str] = ()
    """The model files whose weights it has in memory."""
    last_begun: float = 0.0
    """The time when it last began a run, in seconds; 0 if it has begun none."""

    def takes(self, servers: tuple[str, ...]) -> bool:
        """Return True if it may get a run that these servers may run."""
        return self.server in servers if servers else not self.server

    def to_load(self, run: Waiting) -> int:
        """Return the bytes of the files that a run reads and that it has not in memory."""
        return sum(nbytes for name, nbytes in run.models.items() if name not in self.models)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A run and the worker that gets it."""

    run: str
    worker: str
    overdue: bool = False
    """True if it had waited too long for others to go before it."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """The times that are known or estimated when a run is picked."""

    now: float
    """The time, in seconds."""
    load_rate: float
    """Bytes of models that a worker loads in a second."""
    run_seconds: float
    """Seconds that a run computes, models in memory."""
    patience: float = 30.0
    """A run that has waited for more seconds is not overtaken, and waits for no worker."""
    is_used_up: bool = False
    """True if too many of the last runs were such ones: then it is overtaken all the same.

    Without this limit, a queue in which all runs are overdue would be taken in its order, with a
    load for nearly each run: the slower it gets, the less it could do.
    """

    def is_overdue(self, run: Waiting) -> bool:
        """Return True if a run may not be overtaken any more."""
        return self.now - run.since > self.patience and not self.is_used_up

    def ends_in(self, slot: Slot) -> float:
        """Return the seconds until a busy worker probably has room; infinite if it is late."""
        busy_for = self.now - slot.last_begun
        return max(self.run_seconds - busy_for, 0.0) if busy_for < _LATE * self.run_seconds else inf


def pick(
    queue: Iterable[Waiting], slots: Sequence[Slot], outlook: Outlook | None = None
) -> Assignment | None:
    """Return the next run and the worker that gets it; None if none is to begin now.

    Without an outlook, or with one worker, that is the first run of the queue that a worker can
    take, with the least busy such worker. With several workers the models count, too:

    - a run goes to a worker that has its models in memory, or else to the one that has to load the
      least for it, of equal ones the one that has been idle for longest;
    - a run whose models are in memory comes before those of other clients, with the same priority,
      that need a load;
    - a run waits for a busy worker that has its models, if that takes less time than a load.

    The runs of one client begin in their order. A run that has waited for too long is overtaken by
    none and waits for no worker.

    A suspect run waits for an idle worker. It holds back the runs behind it on one worker until
    that is idle; otherwise it might wait for ever.
    """
    candidates = islice(_candidates(queue, slots), AT_MOST)
    if outlook is None or len(slots) == 1:
        run, fitting = next(candidates, (None, ()))
        if run is None:
            return None
        return Assignment(run.id, min(fitting, key=lambda slot: slot.busy).worker)
    return _by_models(candidates, slots, outlook)


def _by_models(
    candidates: Iterable[tuple[Waiting, Sequence[Slot]]], slots: Sequence[Slot], outlook: Outlook
) -> Assignment | None:
    """Return the first of the candidates whose models are in memory, or else the first."""
    busy = [slot for slot in slots if not slot.free and not slot.alone]
    promised: Counter[str] = Counter()
    cold: Assignment | None = None
    priority: int | None = None
    for run, fitting in candidates:
        if priority is not None and run.priority < priority:
            break
        best = min(fitting, key=lambda slot: (slot.to_load(run), slot.busy, slot.last_begun))
        load = best.to_load(run)
        if not load and (run.models or priority is None):
            return Assignment(run.id, best.worker)
        if outlook.is_overdue(run):
            return cold or Assignment(run.id, best.worker, overdue=True)
        priority = run.priority
        if cold is not None:
            continue
        others = [each for each in busy if each.takes(run.servers) and not each.to_load(run)]
        waits = {
            each.worker: outlook.ends_in(each) + promised[each.worker] * outlook.run_seconds
            for each in others
        }
        soonest = min(waits, key=waits.__getitem__, default=None)
        if soonest is not None and waits[soonest] < load / outlook.load_rate:
            promised[soonest] += 1
        else:
            cold = Assignment(run.id, best.worker)
    return cold


def _candidates(
    queue: Iterable[Waiting], slots: Iterable[Slot]
) -> Iterator[tuple[Waiting, Sequence[Slot]]]:
    """Yield the first run of each client that a worker can take, with all workers that can."""
    usable = [slot for slot in slots if slot.free and not slot.alone]
    seen: set[tuple[str, str]] = set()
    for run in queue:
        if not usable:
            return
        whose = (run.owner, run.client)
        if whose in seen:
            continue
        fitting = [slot for slot in usable if slot.takes(run.servers)]
        if run.suspect and fitting:
            least = min(fitting, key=lambda slot: slot.busy)
            fitting = [least]
            if least.busy:
                usable.remove(least)
                continue
        if fitting:
            seen.add(whose)
            yield run, fitting
