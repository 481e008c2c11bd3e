"""For whom previews are made: a worker need not make what nobody looks at."""

from dataclasses import dataclass
from typing import cast, get_args

from nodegraph.choices import PreviewMethod
from server.bus import Bus, Topic
from server.store.runs import Run, Work
from server.workers.worker import Worker


def method_of(work: Work, default: PreviewMethod) -> PreviewMethod:
    """How a run's previews are made: as it says, if it says something."""
    wanted = work.extra.get("preview_method")
    return cast("PreviewMethod", wanted) if wanted in get_args(PreviewMethod) else default


@dataclass(slots=True)
class _Watched:
    owner: str
    client: str
    worker: Worker
    looked_at: bool


class Audience:
    """Knows the runs that are under way, and tells their workers when somebody comes or goes.

    Args:
        bus: where those are who look.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._runs: dict[str, _Watched] = {}
        bus.watch(self._joined)

    def begin(self, run: Run, worker: Worker) -> bool:
        """A worker gets a run; whether somebody looks at it now."""
        looked_at = self._bus.looked_at(run.id, run.client, run.owner)
        self._runs[run.id] = _Watched(run.owner, run.client, worker, looked_at)
        return looked_at

    def end(self, run_id: str) -> None:
        """It has it no more."""
        self._runs.pop(run_id, None)

    def _joined(self, topic: Topic) -> None:
        for run_id, run in self._runs.items():
            if run.client == topic.client or run_id == topic.run:
                looked_at = self._bus.looked_at(run_id, run.client, run.owner)
                if looked_at != run.looked_at:
                    run.looked_at = looked_at
                    run.worker.look(run_id, looked_at)
