"""Runs that were accepted a moment ago, with their graphs: they begin without the store.

Runs that an earlier server accepted, that run again, or that found no room here, are read from it.
"""

from typing import Final

from server.store.runs import Accepted, Run, Work

MOST_BYTES: Final = 8 * 2**20
"""The most bytes of graphs, as JSON; in memory they take about ten times as much."""


class FreshRuns:
    """The runs that wait and were accepted by this server, the first of them to fit.

    Args:
        most_bytes: the most bytes of their graphs together, as JSON.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._nbytes = 0
        self._runs: dict[str, tuple[Accepted, Work]] = {}

    def keep(self, accepted: Accepted, work: Work) -> None:
        """Keep a run that is now in the queue, unless there is no room for its graph."""
        if accepted.run.id not in self._runs and self._nbytes + accepted.nbytes <= self._most:
            self._runs[accepted.run.id] = accepted, work
            self._nbytes += accepted.nbytes

    def take(self, run_id: str) -> tuple[Run, Work] | None:
        """Return and forget a run and its work, because it leaves the queue; None if not kept."""
        found = self._runs.pop(run_id, None)
        if found is None:
            return None
        accepted, work = found
        self._nbytes -= accepted.nbytes
        return accepted.run, work

    def __len__(self) -> int:
        return len(self._runs)
