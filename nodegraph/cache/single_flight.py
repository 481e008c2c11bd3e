"""Single-flight: two runs that need the same key at once compute it once."""

import threading

from nodegraph.cache.entry import Entry
from nodegraph.errors import NodeGraphError, RunCancelledError
from nodegraph.runtime.run_environment import CancelToken

POLL_SECONDS = 0.05
"""Seconds after which a waiting run notices at the latest that it was cancelled."""


class Passengers:
    """The runs that want the result of one computation."""

    __slots__ = ("_tokens",)

    def __init__(self, leader: CancelToken) -> None:
        self._tokens = [leader]

    def __len__(self) -> int:
        return len(self._tokens)

    def board(self, token: CancelToken) -> None:
        """Add a run."""
        self._tokens.append(token)

    def leave(self, token: CancelToken) -> None:
        """Remove a run."""
        self._tokens.remove(token)

    @property
    def is_abandoned(self) -> bool:
        """True once every run that wants it was cancelled."""
        return not [token for token in tuple(self._tokens) if not token.is_cancelled]

    def check(self) -> None:
        """Stop here if nobody wants it any more.

        Raises:
            RunCancelledError: nobody does.
        """
        if self.is_abandoned:
            raise RunCancelledError


class Flight:
    """One computation, and the runs that want its result; the first of them does the work.

    What a node may keep of its call refers to the passengers, never to the flight, whose result
    would then live as long.
    """

    __slots__ = ("ended", "entry", "error", "key", "passengers")

    def __init__(self, key: str, leader: CancelToken) -> None:
        self.key = key
        self.entry: Entry | None = None
        self.error: NodeGraphError | None = None
        self.ended = False
        self.passengers = Passengers(leader)


class Flights:
    """The computations under way, by key."""

    def __init__(self) -> None:
        self.landed = 0
        """The results that were computed since the beginning."""
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._by_key: dict[str, Flight] = {}

    def join(self, key: str, token: CancelToken) -> Flight:
        """Start the computation, or wait for the run that does it.

        If that run gives up, for it was cancelled or died, one of those who wait takes over.

        Returns:
            The flight. If it has an `entry` or an `error`, that is the answer; else the caller
            leads it: it must compute, set one of them if it can, and `end` it in any case.

        Raises:
            RunCancelledError: the caller was cancelled while it waited.
        """
        with self._lock:
            while True:
                flight = self._by_key.get(key)
                if flight is None:
                    flight = self._by_key[key] = Flight(key, token)
                    return flight
                self._wait(flight, token)
                if flight.entry is not None or flight.error is not None:
                    return flight

    def end(self, flight: Flight) -> None:
        """Let those who wait go on: with the result, the error, or the work."""
        with self._lock:
            flight.ended = True
            self.landed += flight.entry is not None
            self._by_key.pop(flight.key, None)
            if len(flight.passengers) > 1:
                self._changed.notify_all()

    def land(self) -> None:
        """Count a result that ended no flight: one that an expansion gave."""
        with self._lock:
            self.landed += 1

    def _wait(self, flight: Flight, token: CancelToken) -> None:
        flight.passengers.board(token)
        try:
            while not flight.ended:
                token.check()
                self._changed.wait(POLL_SECONDS)
        finally:
            flight.passengers.leave(token)
