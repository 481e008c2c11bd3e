"""The base class of those that observe runs: metrics and traces."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from server.store.runs import Run


@dataclass(frozen=True, slots=True)
class ModelUse:
    """The first use of a network by a run."""

    run: str
    """The run's id; empty if the worker gets warm."""
    title: str
    """The network, for people; empty if it has no name."""
    nbytes: int
    """The bytes of its weights; 0 if it was not loaded."""
    seconds: float | None
    """The seconds that its load took; None if it was in memory."""
    time_ms: int
    """The time then, in milliseconds since 1970 by the worker's clock."""


class Observer:
    """Hears of each change of a run once it is recorded; each method does nothing by itself."""

    def run_begun(self, run: Run, /) -> None:
        """Take note that a worker computes a run."""

    def run_reported(self, run: Run, name: str, data: Mapping[str, Any], /) -> None:
        """Take note of an event of a run, as `nodegraph.execution.events` names it."""

    def run_given_up(self, run: Run, reason: str, /) -> None:
        """Take note that an attempt at a run failed, and the run waits again.

        Args:
            run: the run as it was in that attempt.
            reason: the reason.
        """

    def run_lost(self, run: Run, /) -> None:
        """Take note that another server has a run that was computed here."""

    def run_ended(self, run: Run, data: Mapping[str, Any], /) -> None:
        """Take note that a run is over; `data` is that of its last event."""

    def model_used(self, use: ModelUse, /) -> None:
        """Take note that a run uses a network; heard before the events that follow it."""
