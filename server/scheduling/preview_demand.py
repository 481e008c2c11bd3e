"""Demand for previews: a worker makes none of a run that nobody watches."""

from dataclasses import dataclass
from typing import cast, get_args

from nodegraph.runtime.choices import PreviewMethod
from server.scheduling.event_bus import Bus, Topic
from server.store.runs import Run, Work
from server.workers.worker import Worker


def preview_method_of(work: Work, default: PreviewMethod) -> PreviewMethod:
    """Return the preview method that a run asks for, or the default if it asks for none."""
    wanted = work.extra.get("preview_method")
    return cast("PreviewMethod", wanted) if wanted in get_args(PreviewMethod) else default


@dataclass(slots=True)
class _WatchedRun:
    owner: str
    client: str
    worker: Worker
    watched: bool


class PreviewDemand:
    """Tells the workers of active runs when the first viewer comes and the last one leaves.

    Args:
        bus: knows the viewers, which are subscribed to it.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._runs: dict[str, _WatchedRun] = {}
        bus.watch(self._update)

    def begin(self, run: Run, worker: Worker) -> bool:
        """Note that a worker gets a run; return True if somebody watches that run now."""
        watched = self._bus.has_viewer(run.id, run.client, run.owner)
        self._runs[run.id] = _WatchedRun(run.owner, run.client, worker, watched)
        return watched

    def end(self, run_id: str) -> None:
        """Note that a run has left its worker."""
        self._runs.pop(run_id, None)

    def _update(self, topic: Topic) -> None:
        for run_id, run in self._runs.items():
            if run.client == topic.client or run_id == topic.run:
                watched = self._bus.has_viewer(run_id, run.client, run.owner)
                if watched != run.watched:
                    run.watched = watched
                    run.worker.set_watched(run_id, watched)
