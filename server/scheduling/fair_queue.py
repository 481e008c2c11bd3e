"""The fair queue: the waiting runs, in the order in which they will run.

Higher priorities come first. Within a priority owners take turns, and an owner's clients take
that owner's turns; whoever was served longest ago comes first. The runs of one client are in
the order of their numbers. The queue is never sorted as a whole: ten thousand runs may wait.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Protocol, TypeAlias

from server.scheduling.scheduler import Waiting

REMEMBERED = 10_000
"""Number of owners and clients whose last turn is remembered."""
_Rank: TypeAlias = tuple[int, float, int]
"""The last turn of a queue, then the number and the `seq` of its first run: no two are the same."""


class _Queue(Protocol):
    @property
    def first(self) -> Waiting: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Waiting]: ...
    def add(self, run: Waiting) -> None: ...
    def remove(self, run: Waiting) -> None: ...
    def note_turn(self, run: Waiting) -> None: ...
    def index(self, run: Waiting) -> int: ...


class _ClientQueue:
    """The waiting runs of one client, in the order of their numbers."""

    def __init__(self) -> None:
        self._runs: list[Waiting] = []

    @property
    def first(self) -> Waiting:
        return self._runs[0]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._runs)

    def add(self, run: Waiting) -> None:
        insort(self._runs, run, key=_place)

    def remove(self, run: Waiting) -> None:
        del self._runs[self.index(run)]

    def note_turn(self, run: Waiting) -> None:
        """Do nothing: one client takes no turns with itself."""

    def index(self, run: Waiting) -> int:
        return bisect_left(self._runs, _place(run), key=_place)


class _RoundRobin:
    """Several queues that take turns: the first of each, then the second of each, and so on.

    Args:
        name: gives the name of the queue that a run belongs to.
        make: creates the queue for a run.
        served: gives the number of the last turn of a run's queue, which grows; 0 if none.
    """

    def __init__(
        self,
        name: Callable[[Waiting], str],
        make: Callable[[Waiting], _Queue],
        served: Callable[[Waiting], int],
    ) -> None:
        self._name = name
        self._make = make
        self._served = served
        self._lines: dict[str, _Queue] = {}
        self._ranks: dict[str, _Rank] = {}
        self._order: list[tuple[_Rank, str]] = []
        """The queues by rank, first the one whose turn is next."""
        self._count = 0

    @property
    def first(self) -> Waiting:
        return self._lines[self._order[0][1]].first

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiting]:
        rows: Iterable[Iterator[Waiting]] = (iter(self._lines[name]) for _, name in [*self._order])
        while rows:
            left: list[Iterator[Waiting]] = []
            for row in rows:
                run = next(row, None)
                if run is not None:
                    yield run
                    left.append(row)
            rows = left

    def add(self, run: Waiting) -> None:
        name = self._name(run)
        if name not in self._lines:
            self._lines[name] = self._make(run)
        self._lines[name].add(run)
        self._count += 1
        self._put_in_order(name)

    def remove(self, run: Waiting) -> None:
        name = self._name(run)
        line = self._lines[name]
        line.remove(run)
        self._count -= 1
        if not len(line):
            del self._lines[name]
        self._put_in_order(name)

    def note_turn(self, run: Waiting) -> None:
        """Note that the queue that a run belonged to has had its turn."""
        name = self._name(run)
        if name in self._lines:
            self._lines[name].note_turn(run)
            self._put_in_order(name)

    def length(self, name: str) -> int:
        line = self._lines.get(name)
        return len(line) if line is not None else 0

    def index(self, run: Waiting) -> int:
        name = self._name(run)
        turn, rank = self._lines[name].index(run), self._ranks[name]
        ahead = turn
        for other, line in self._lines.items():
            if other != name:
                ahead += min(len(line), turn) + (len(line) > turn and self._ranks[other] < rank)
        return ahead

    def _put_in_order(self, name: str) -> None:
        """Put a queue where it belongs now; take it out if it is gone."""
        before = self._ranks.pop(name, None)
        if before is not None:
            del self._order[bisect_left(self._order, (before, name))]
        line = self._lines.get(name)
        if line is not None:
            first = line.first
            rank = self._ranks[name] = (self._served(first), first.number, first.seq)
            insort(self._order, (rank, name))


class FairQueue:
    """The queue in memory: the waiting runs, and whose turn it is."""

    def __init__(self) -> None:
        self._runs: dict[str, Waiting] = {}
        self._by_priority: dict[int, _RoundRobin] = {}
        self._served: dict[tuple[str, ...], int] = {}
        self._turn = 0
        self._places: Counter[tuple[str, ...]] = Counter()

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def __iter__(self) -> Iterator[Waiting]:
        """Yield the waiting runs, next first."""
        for priority in sorted(self._by_priority, reverse=True):
            yield from self._by_priority[priority]

    @property
    def depths(self) -> Mapping[int, int]:
        """The number of waiting runs by priority."""
        return {priority: len(line) for priority, line in self._by_priority.items()}

    @property
    def places(self) -> Collection[tuple[str, ...]]:
        """The `servers` of the waiting runs, each once."""
        return self._places

    def find(self, run_id: str) -> Waiting | None:
        """Return a waiting run; None if it is not in the queue."""
        return self._runs.get(run_id)

    def count(self, owner: str) -> int:
        """Return the number of waiting runs of an owner."""
        return sum(line.length(owner) for line in self._by_priority.values())

    def add(self, run: Waiting) -> None:
        """Add a run, unless it is in the queue already."""
        if run.id in self._runs:
            return
        self._runs[run.id] = run
        self._places[run.servers] += 1
        if run.priority not in self._by_priority:
            self._by_priority[run.priority] = _RoundRobin(_owner, self._clients, self._owner_served)
        self._by_priority[run.priority].add(run)

    def remove(self, run_id: str) -> Waiting | None:
        """Remove and return a run; None if it is not in the queue."""
        run = self._runs.pop(run_id, None)
        if run is not None:
            self._places[run.servers] -= 1
            if not self._places[run.servers]:
                del self._places[run.servers]
            line = self._by_priority[run.priority]
            line.remove(run)
            if not len(line):
                del self._by_priority[run.priority]
        return run

    def serve(self, run_id: str) -> Waiting | None:
        """Remove a run because it starts, which uses a turn of its client and its owner."""
        run = self.remove(run_id)
        if run is not None:
            self._turn += 1
            for who in ((run.owner,), (run.owner, run.client)):
                self._served.pop(who, None)
                self._served[who] = self._turn
            while len(self._served) > REMEMBERED:
                del self._served[next(iter(self._served))]
            for line in self._by_priority.values():
                line.note_turn(run)
        return run

    def position(self, run_id: str) -> int | None:
        """Return the number of runs ahead of a run; None if it is not in the queue."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        before = sum(len(line) for key, line in self._by_priority.items() if key > run.priority)
        return before + self._by_priority[run.priority].index(run)

    def _clients(self, _run: Waiting) -> _Queue:
        return _RoundRobin(_client, lambda _: _ClientQueue(), self._client_served)

    def _owner_served(self, run: Waiting) -> int:
        return self._served.get((run.owner,), 0)

    def _client_served(self, run: Waiting) -> int:
        return self._served.get((run.owner, run.client), 0)


def _place(run: Waiting) -> tuple[float, int]:
    return run.number, run.seq


def _owner(run: Waiting) -> str:
    return run.owner


def _client(run: Waiting) -> str:
    return run.client
