"""Puts the parts together that make a server one of a fleet."""

import asyncio
import socket
import time
from collections.abc import Mapping
from typing import Any, Final

from nodegraph.settings.server import ServerSettings
from server.fleet.channel import Channel
from server.fleet.dispatcher import FleetDispatcher, Ties
from server.fleet.lease import Lease, LeaseHooks, Seat
from server.fleet.notices import CANCEL, LIVE, WATCH, live, read_live
from server.fleet.relay import Relay, RelayHooks
from server.fleet.viewers import Viewers
from server.scheduling.event_bus import Message

FAR: Final = 6.0
"""Seconds for which it holds that somebody watches a run through another server."""


def seat_of(settings: ServerSettings) -> Seat:
    """Return the place that the settings give a server; they have the port that it listens on."""
    address = f"{socket.gethostname()}:{settings.port}"
    return Seat(settings.name or address, address, settings.lease)


def join_fleet(dispatcher: FleetDispatcher, seat: Seat) -> None:
    """Give a dispatcher its place among the servers that share its store, before its start.

    Args:
        dispatcher: the server's.
        seat: its place.
    """
    line = _Line(dispatcher, seat)
    hooks = LeaseHooks(
        dispatcher.mine,
        dispatcher.abandon,
        dispatcher.cancel_here,
        line.renew_viewers,
        dispatcher.recorder.note_put_back,
    )
    lease = Lease(dispatcher.store, seat, hooks)
    works = (line.relay.run, line.channel.listen, line.channel.speak, lease.run)
    dispatcher.join(
        Ties(seat.name, line.relay, lease, line.tell_to_cancel, line.viewers.tell, works)
    )


class _Line:
    """The line to other servers: hears of them and tells them.

    Args:
        dispatcher: the server's.
        seat: its place.
    """

    def __init__(self, dispatcher: FleetDispatcher, seat: Seat) -> None:
        self._dispatcher = dispatcher
        self._demand = dispatcher.preview_demand
        self._name = seat.name
        self._cancelling: set[asyncio.Task[bool]] = set()
        store, bus = dispatcher.store, dispatcher.bus
        self.relay = Relay(store, bus, RelayHooks(dispatcher.follow, self._pass_on))
        self.channel = Channel(store, self.relay.wake, self._hear)
        self.viewers = Viewers(bus, dispatcher.elsewhere, self.channel.send)

    def tell_to_cancel(self, run_id: str) -> None:
        """Have the server that computes a run stop it."""
        self.channel.send({"op": CANCEL, "run": run_id})

    def renew_viewers(self) -> None:
        """Tell others what is watched here, and forget what is not watched there any more."""
        self._demand.expire(time.monotonic())
        self.viewers.tell_all()

    def _pass_on(self, message: Message, after: int) -> None:
        """Send a passing event of an own run, if somebody watches that through another server."""
        if self._demand.is_far(message.run):
            self.channel.send({**live(message, after), "from": self._name})

    def _hear(self, body: Mapping[str, Any]) -> None:
        """Take a message of any server; this one hears its own, too."""
        if body["op"] == LIVE:
            if body["from"] != self._name:
                self.relay.hold(*read_live(body))
        elif body["run"] not in self._dispatcher.mine():
            return
        elif body["op"] == WATCH:
            self._demand.note_far(body["run"], time.monotonic() + FAR)
        else:
            task = asyncio.create_task(self._dispatcher.cancel_here(body["run"]))
            self._cancelling.add(task)
            task.add_done_callback(self._cancelling.discard)
