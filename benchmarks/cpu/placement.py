"""Waiting times of a fleet by the way that runs are placed, in a simulation of the real scheduler.

Runs arrive at random and name one of many checkpoints, a few of them often (Zipf). A worker keeps
the last checkpoints that it used, as many as its memory holds, and has to load any other one first.
Beside the scheduler's own `pick` there are the ways that others have: each run goes to a worker
when it arrives, to any or to the one with the shortest queue; or to whichever worker is free next,
in the order of arrival.
"""

import heapq
import random
from argparse import ArgumentParser, Namespace
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from statistics import median, quantiles

from benchmarks.report import Report
from server.scheduling.estimates import Estimates
from server.scheduling.fair_queue import FairQueue
from server.scheduling.scheduler import Slot, Waiting, pick

_NBYTES = 7 * 10**9


@dataclass(frozen=True, slots=True)
class Fleet:
    """What is simulated: workers, checkpoints and runs."""

    workers: int = 64
    checkpoints: int = 500
    kept: int = 4
    """Checkpoints that a worker's memory holds."""
    runs: int = 15_000
    rate: float = 5.0
    """Runs that arrive in a second."""
    compute: float = 6.0
    """Seconds that a run computes."""
    load: float = 12.0
    """Seconds that it takes to load a checkpoint."""
    zipf: float = 1.0
    """The power to which the n-th checkpoint is rarer than the first."""


@dataclass(slots=True)
class _Worker:
    name: str
    models: OrderedDict[str, None] = field(default_factory=OrderedDict[str, None])
    """The checkpoints in memory, the one that was used last at the end."""
    run: Waiting | None = None
    begun: float = 0.0
    queue: deque[Waiting] = field(default_factory=deque[Waiting])
    """Runs that were given to it before it was free."""

    def begin(self, run: Waiting, now: float, fleet: Fleet) -> float:
        """Return the seconds that it takes for a run, with the load if there is one."""
        self.run, self.begun = run, now
        (model,) = run.models
        warm = model in self.models
        self.models[model] = None
        self.models.move_to_end(model)
        while len(self.models) > fleet.kept:
            self.models.popitem(last=False)
        return fleet.compute + (0 if warm else fleet.load)


class Late:
    """Runs wait in one queue, and a worker gets one when it is free.

    Args:
        outlook: what the scheduler knows at a time; None if it knows nothing of models.
    """

    def __init__(self, estimates: Estimates | None = None) -> None:
        self._estimates = estimates
        self._queue = FairQueue()

    def arrive(self, run: Waiting, workers: Sequence[_Worker]) -> None:
        """Put a run into the queue."""
        del workers
        self._queue.add(run)

    def next(self, now: float, workers: Sequence[_Worker]) -> tuple[Waiting, _Worker] | None:
        """Return a run and the free worker that gets it; None if there are none."""
        if not len(self._queue) or all(each.run for each in workers):
            return None
        known = self._estimates
        slots = [
            Slot(
                each.name,
                each.run is None,
                each.run is not None,
                models=each.models if known else (),
                last_begun=each.begun,
            )
            for each in workers
        ]
        chosen = pick(self._queue, slots, known.outlook(now) if known else None)
        if chosen is None:
            return None
        if known:
            known.note_pick(chosen)
        run = self._queue.serve(chosen.run)
        assert run is not None, "it was in the queue"
        return run, next(each for each in workers if each.name == chosen.worker)


class Early:
    """A run goes to a worker when it arrives, and waits there.

    Args:
        choose: chooses the worker.
    """

    def __init__(self, choose: Callable[[Sequence[_Worker]], _Worker]) -> None:
        self._choose = choose

    def arrive(self, run: Waiting, workers: Sequence[_Worker]) -> None:
        """Put a run into the queue of a worker."""
        self._choose(workers).queue.append(run)

    def next(self, now: float, workers: Sequence[_Worker]) -> tuple[Waiting, _Worker] | None:
        """Return a run and its worker, if that is free; None if there are none."""
        del now
        for each in workers:
            if each.run is None and each.queue:
                return each.queue.popleft(), each
        return None


def _shortest(workers: Sequence[_Worker]) -> _Worker:
    return min(workers, key=lambda each: len(each.queue) + (each.run is not None))


def policies(fleet: Fleet, seed: int) -> dict[str, Late | Early]:
    """Return the ways of placing runs, by their names."""
    chance = random.Random(seed)
    return {
        "any worker": Early(chance.choice),
        "least loaded worker": Early(_shortest),
        "first come": Late(),
        "models, no patience": Late(_estimates(fleet, patience=0.0, most_overdue=1.1)),
        "models, endless patience": Late(_estimates(fleet, patience=1e9)),
        "models, patience of 30 s": Late(_estimates(fleet, most_overdue=1.1)),
        "models, for nine runs in ten": Late(_estimates(fleet)),
    }


def _estimates(fleet: Fleet, **given: float) -> Estimates:
    return Estimates(_NBYTES / fleet.load, fleet.compute, **given)


def waits(fleet: Fleet, policy: Late | Early, seed: int) -> tuple[list[float], float]:
    """Return the seconds from arrival to end of each run, and the share that found its model.

    Args:
        fleet: what is simulated.
        policy: places the runs.
        seed: of the arrivals and the checkpoints.
    """
    workers = [_Worker(f"gpu{number}") for number in range(fleet.workers)]
    events: list[tuple[float, int, _Worker | Waiting]] = [
        (run.since, run.seq, run) for run in _arrivals(fleet, seed)
    ]
    heapq.heapify(events)
    took: list[float] = []
    warm = 0
    count = len(events)
    while events:
        now, _, what = heapq.heappop(events)
        if isinstance(what, _Worker):
            assert what.run is not None, "it ends a run"
            took.append(now - what.run.since)
            what.run = None
        else:
            policy.arrive(what, workers)
        while (found := policy.next(now, workers)) is not None:
            run, worker = found
            seconds = worker.begin(run, now, fleet)
            warm += seconds == fleet.compute
            count += 1
            heapq.heappush(events, (now + seconds, count, worker))
    return took, warm / len(took)


def _arrivals(fleet: Fleet, seed: int) -> Iterator[Waiting]:
    chance = random.Random(seed)
    names = [f"{number}.safetensors" for number in range(fleet.checkpoints)]
    weights = [*accumulate((number + 1) ** -fleet.zipf for number in range(fleet.checkpoints))]
    now = 0.0
    for number in range(fleet.runs):
        now += chance.expovariate(fleet.rate)
        (name,) = chance.choices(names, cum_weights=weights)
        yield Waiting(
            str(number), str(number), 0, number, number, models={name: _NBYTES}, since=now
        )


def add_options(parser: ArgumentParser) -> None:
    """Declare its own options."""
    parser.add_argument("--rates", type=float, nargs="+", default=[3, 5, 7, 8.5, 9], help="a s")
    parser.add_argument("--seeds", type=int, default=3, help="simulations, whose median counts")
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--runs", type=int, default=15_000)


def measure(options: Namespace, report: Report) -> None:
    """Simulate, and report each figure when it is known."""
    for rate in options.rates:
        fleet = Fleet(rate=rate, workers=options.workers, runs=options.runs)
        for name in policies(fleet, 0):
            found = [
                waits(fleet, policies(fleet, seed)[name], seed) for seed in range(options.seeds)
            ]
            middle = median(median(took) for took, _ in found)
            last = median(quantiles(took, n=100)[98] for took, _ in found)
            report.add(f"{rate:g} a second, {name}: p50", middle, "s")
            report.add(f"{rate:g} a second, {name}: p99", last, "s")
            report.add(f"{rate:g} a second, {name}: warm", median(w for _, w in found), "x")
