"""Times on a device: work that is queued there is over before the clock is read."""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from nodegraph.runtime.devices import default_device, is_accelerator


class Pace(NamedTuple):
    """The number of calls."""

    warm_ups: int
    """Before the clock is read."""
    least: int
    most: int
    """The fewest and the most that are timed."""


USUAL, QUICK = Pace(5, 5, 20), Pace(1, 1, 2)
"""For figures, and for tiny models, which show that all of it works."""


def wait() -> None:
    """Wait until the default device has done all that was asked of it."""
    if is_accelerator(default_device()):
        torch.accelerator.synchronize()


def device_seconds(work: Callable[[], object]) -> float:
    """Return the seconds of a call until its device is done."""
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


class TimeBudget:
    """The time that a part of a benchmark may still take.

    Args:
        seconds: from now on.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """The seconds that are left, at least zero."""
        return max(0.0, self._end - time.monotonic())

    def share(self, parts: int) -> "TimeBudget":
        """Return a budget of the time that is left, divided by so many parts."""
        return TimeBudget(self.left / max(1, parts))


def sample_seconds(work: Callable[[], object], budget: TimeBudget, pace: Pace) -> list[float]:
    """Return the seconds of calls, after some that warm up.

    All warm-ups and the fewest timed calls are made whatever the time; more while there is some.
    """
    for _ in range(pace.warm_ups):
        work()
    times: list[float] = []
    while len(times) < pace.least or (len(times) < pace.most and budget.left > times[-1]):
        times.append(device_seconds(work))
    return times
