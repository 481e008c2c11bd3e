"""Estimates of the times that placing a run depends on, from those that were measured."""

from collections import deque

from server.scheduling.scheduler import Assignment, Outlook

_WINDOW = 100
"""The picks that are remembered."""
_SHARE = 0.1
"""The least weight of a new measurement in the average."""


class _Average:
    """The average of what was measured, of which later measurements count more.

    Args:
        value: before anything was measured.
    """

    def __init__(self, value: float) -> None:
        self.value = value
        self._count = 0

    def add(self, measured: float) -> None:
        """Take a measurement into it; the first one takes the place of the value before."""
        self._count += 1
        self.value += max(_SHARE, 1 / self._count) * (measured - self.value)


class Estimates:
    """The speed of loads, the seconds of a run, and the share of the last runs that were overdue.

    Args:
        load_rate: bytes a second, until a load was measured.
        run_seconds: of a run without loads, until one was measured.
        patience: see `Outlook`.
        most_overdue: the share of the last picks that overdue runs may have.
    """

    def __init__(
        self,
        load_rate: float = 1e9,
        run_seconds: float = 5.0,
        patience: float = 30.0,
        most_overdue: float = 0.1,
    ) -> None:
        self._load_rate = _Average(load_rate)
        self._run_seconds = _Average(run_seconds)
        self._patience = patience
        self._most = most_overdue * _WINDOW
        self._overdue: deque[bool] = deque(maxlen=_WINDOW)

    def outlook(self, now: float) -> Outlook:
        """Return what is known at a time, in seconds."""
        is_used_up = sum(self._overdue) >= self._most
        return Outlook(
            now, self._load_rate.value, self._run_seconds.value, self._patience, is_used_up
        )

    def note_pick(self, picked: Assignment) -> None:
        """Take note of what was picked."""
        self._overdue.append(picked.overdue)

    def note_load(self, nbytes: int, seconds: float) -> None:
        """Take note of a load that was measured; of none that took no time."""
        if nbytes and seconds > 0:
            self._load_rate.add(nbytes / seconds)

    def note_run(self, seconds: float) -> None:
        """Take note of the seconds that a run computed, without the loads of its models."""
        self._run_seconds.add(max(seconds, 0.0))
