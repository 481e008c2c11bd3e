"""Tells the servers that compute runs which of these somebody watches here."""

from collections.abc import Callable, Mapping
from typing import Any

from server.fleet.notices import WATCH
from server.scheduling.event_bus import Bus, Topic
from server.store.runs import Run


class Viewers:
    """The viewers of this server, as other servers hear of them.

    A server sends progress and previews of a run only while it hears that somebody watches it, so
    that has to be said again and again.

    Args:
        bus: knows the viewers, which are subscribed to it.
        elsewhere: the runs that other servers compute, by id.
        send: tells all servers.
    """

    def __init__(
        self,
        bus: Bus,
        elsewhere: Mapping[str, Run],
        send: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._bus = bus
        self._elsewhere = elsewhere
        self._send = send
        bus.watch(self._update)

    def tell_all(self) -> None:
        """Tell of every run that somebody watches here."""
        for run in self._elsewhere.values():
            self.tell(run)

    def tell(self, run: Run) -> None:
        """Tell of a run, if somebody watches it here."""
        if self._bus.has_viewer(run.id, run.client, run.owner):
            self._send({"op": WATCH, "run": run.id})

    def _update(self, topic: Topic) -> None:
        for run in self._elsewhere.values():
            if run.client == topic.client or run.id == topic.run:
                self.tell(run)
