"""The runs that wait, in the order in which they will be taken."""

from collections.abc import Mapping

from server.scheduler import Waiting, order
from server.store.runs import Run


class Line:
    """The queue in memory; sorted when somebody asks after it changed, not at each change."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._served: dict[str, int] = {}
        self._turns = 0
        self._order: list[Waiting] | None = None
        self._positions: dict[str, int] | None = None

    def add(self, run: Run) -> None:
        """A run waits from now on."""
        self._waiting[run.id] = Waiting(
            run.id, run.client, run.priority, run.number, run.seq, run.suspect
        )
        self._change()

    def remove(self, run_id: str) -> bool:
        """It waits no more; whether it did."""
        found = self._waiting.pop(run_id, None) is not None
        if found:
            self._change()
        return found

    def serve(self, client: str) -> None:
        """It was this client's turn."""
        self._turns += 1
        self._served[client] = self._turns
        self._change()

    @property
    def order(self) -> list[Waiting]:
        """What waits, next first."""
        if self._order is None:
            self._order = order(self._waiting.values(), self._served)
        return self._order

    @property
    def positions(self) -> Mapping[str, int]:
        """How many runs are before each that waits, by its id."""
        if self._positions is None:
            self._positions = {run.id: place for place, run in enumerate(self.order)}
        return self._positions

    def _change(self) -> None:
        self._order = self._positions = None

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)
