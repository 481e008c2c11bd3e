"""The runs that wait, in the order in which they will run.

Higher priorities come first. Inside one, owners take turns, and an owner's clients take that
owner's turns; the one that was served longest ago first. A client's own runs come by their
numbers. Nothing is ever sorted as a whole: ten thousand may wait.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from server.scheduler import Waiting

REMEMBERED = 10_000
"""Of how many owners and clients it is known when they were served."""


class _Line(Protocol):
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Waiting]: ...
    def add(self, run: Waiting) -> None: ...
    def remove(self, run: Waiting) -> None: ...
    def index(self, run: Waiting) -> int: ...


class _Own:
    """One client's runs by their numbers."""

    def __init__(self) -> None:
        self._runs: list[Waiting] = []

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[Waiting]:
        return iter(self._runs)

    def add(self, run: Waiting) -> None:
        insort(self._runs, run, key=_place)

    def remove(self, run: Waiting) -> None:
        del self._runs[self.index(run)]

    def index(self, run: Waiting) -> int:
        return bisect_left(self._runs, _place(run), key=_place)


class _Turns:
    """Several lines: the first of each, then the second of each, and so on.

    Args:
        name: which line a run stands in.
        make: begins a line.
        served: when each line had its last turn, as a number that grows; none if never.
    """

    def __init__(
        self,
        name: Callable[[Waiting], str],
        make: Callable[[Waiting], _Line],
        served: Callable[[Waiting], int],
    ) -> None:
        self._name = name
        self._make = make
        self._served = served
        self._lines: dict[str, _Line] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Waiting]:
        rows = [iter(line) for line in sorted(self._lines.values(), key=self._rank)]
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

    def remove(self, run: Waiting) -> None:
        line = self._lines[self._name(run)]
        line.remove(run)
        self._count -= 1
        if not len(line):
            del self._lines[self._name(run)]

    def length(self, name: str) -> int:
        line = self._lines.get(name)
        return len(line) if line is not None else 0

    def index(self, run: Waiting) -> int:
        own = self._lines[self._name(run)]
        turn, rank = own.index(run), self._rank(own)
        ahead = turn
        for line in self._lines.values():
            if line is not own:
                ahead += min(len(line), turn) + (len(line) > turn and self._rank(line) < rank)
        return ahead

    def _rank(self, line: _Line) -> tuple[int, float, int]:
        """Which line comes first: its last turn, then the first of it."""
        first = next(iter(line))
        return self._served(first), first.number, first.seq


class Lineup:
    """The queue in memory: what waits, and whose turn it is."""

    def __init__(self) -> None:
        self._runs: dict[str, Waiting] = {}
        self._by_priority: dict[int, _Turns] = {}
        self._served: dict[tuple[str, ...], int] = {}
        self._turn = 0

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._runs

    def __iter__(self) -> Iterator[Waiting]:
        """Next first."""
        for priority in sorted(self._by_priority, reverse=True):
            yield from self._by_priority[priority]

    @property
    def depths(self) -> Mapping[int, int]:
        """How many wait at each priority."""
        return {priority: len(line) for priority, line in self._by_priority.items()}

    def find(self, run_id: str) -> Waiting | None:
        """A run that waits; None if it does not."""
        return self._runs.get(run_id)

    def count(self, owner: str) -> int:
        """How many runs of an owner wait."""
        return sum(line.length(owner) for line in self._by_priority.values())

    def add(self, run: Waiting) -> None:
        """Let a run wait; nothing if it does already."""
        if run.id in self._runs:
            return
        self._runs[run.id] = run
        if run.priority not in self._by_priority:
            self._by_priority[run.priority] = _Turns(_owner, self._clients, self._owner_served)
        self._by_priority[run.priority].add(run)

    def remove(self, run_id: str) -> Waiting | None:
        """Take a run out; None if it does not wait."""
        run = self._runs.pop(run_id, None)
        if run is not None:
            line = self._by_priority[run.priority]
            line.remove(run)
            if not len(line):
                del self._by_priority[run.priority]
        return run

    def serve(self, run_id: str) -> Waiting | None:
        """Take a run out because it begins: its client and its owner had their turn."""
        run = self.remove(run_id)
        if run is not None:
            self._turn += 1
            for who in ((run.owner,), (run.owner, run.client)):
                self._served.pop(who, None)
                self._served[who] = self._turn
            while len(self._served) > REMEMBERED:
                del self._served[next(iter(self._served))]
        return run

    def position(self, run_id: str) -> int | None:
        """How many runs are before it; None if it does not wait."""
        run = self._runs.get(run_id)
        if run is None:
            return None
        before = sum(len(line) for key, line in self._by_priority.items() if key > run.priority)
        return before + self._by_priority[run.priority].index(run)

    def _clients(self, _run: Waiting) -> _Line:
        return _Turns(_client, lambda _: _Own(), self._client_served)

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
