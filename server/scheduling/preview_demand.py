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
        self._far: dict[str, float] = {}
        """The runs that somebody watches through another server, and until when that holds."""
        bus.watch(self._update)

    def begin(self, run: Run, worker: Worker) -> bool:
        """Note that a worker gets a run; return True if somebody watches that run now."""
        watched = self._is_watched(run.id, run.client, run.owner)
        self._runs[run.id] = _WatchedRun(run.owner, run.client, worker, watched)
        return watched

    def end(self, run_id: str) -> None:
        """Note that a run has left its worker."""
        self._runs.pop(run_id, None)

    def note_far(self, run_id: str, until: float) -> None:
        """Note that somebody watches a run through another server, until a time."""
        self._far[run_id] = until
        self._check(run_id)

    def is_far(self, run_id: str) -> bool:
        """Return True if somebody watches a run through another server."""
        return run_id in self._far

    def expire(self, now: float) -> None:
        """Forget viewers at other servers of whom nothing was heard for too long."""
        for run_id in [name for name, until in self._far.items() if until < now]:
            del self._far[run_id]
            self._check(run_id)

    def _update(self, topic: Topic) -> None:
        for run_id, run in self._runs.items():
            if run.client == topic.client or run_id == topic.run:
                self._check(run_id)

    def _check(self, run_id: str) -> None:
        """Tell the worker of a run if that is watched now and was not, or the other way round."""
        run = self._runs.get(run_id)
        if run is None:
            return
        watched = self._is_watched(run_id, run.client, run.owner)
        if watched != run.watched:
            run.watched = watched
            run.worker.set_watched(run_id, watched)

    def _is_watched(self, run_id: str, client: str, owner: str) -> bool:
        return run_id in self._far or self._bus.has_viewer(run_id, client, owner)
