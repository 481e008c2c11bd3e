"""A worker's reports to the server: its log records, and the state of its caches."""

import logging
import threading
import time
from contextlib import suppress
from dataclasses import fields
from functools import cache

from nodegraph.cache.protocol import PlaceStats, Stats
from nodegraph.execution.engine import Engine
from nodegraph.runtime.model_pool import PoolStats
from server.observability.logs import exception_of, facts_of
from server.workers.wire import Channel

PAUSE = 1.0
"""Seconds that are between two reports at least, while runs go on."""
_LONGEST = 100_000


class CacheReports:
    """Sends the state of an engine's caches, which `/metrics` and `nodegraph watch` show.

    Any thread may send it: two at once cost a report too many at most.

    Args:
        engine: has them.
        channel: leads to the server.
    """

    def __init__(self, engine: Engine, channel: Channel) -> None:
        self._engine = engine
        self._channel = channel
        self._sent = 0.0
        self._later: threading.Timer | None = None

    def send(self) -> None:
        """Send the state now.

        Raises:
            OSError: the server is gone.
        """
        self._sent = time.monotonic()
        results, weights = self._engine.cache.stats, self._engine.models.stats
        body = {
            "op": "cache",
            "results": _as_data(results),
            "weights": _as_data(weights),
            "files": [*self._engine.models.sources],
        }
        self._channel.hold(body)

    def send_when_due(self) -> None:
        """Send the state now; if it was sent a moment ago, after the pause.

        Raises:
            OSError: the server is gone.
        """
        wait = self._sent + PAUSE - time.monotonic()
        if wait <= 0:
            self.send()
        elif self._later is None:
            self._later = threading.Timer(wait, self._send_later)
            self._later.daemon = True
            self._later.start()

    def _send_later(self) -> None:
        self._later = None
        with suppress(OSError):  # the server is gone: nobody asks any more
            self.send()


def _as_data(stats: Stats | PlaceStats | PoolStats) -> dict[str, object]:
    """Return what `dataclasses.asdict` makes of it, in a tenth of the time."""
    data: dict[str, object] = {name: getattr(stats, name) for name in _names(type(stats))}
    if isinstance(stats, Stats):
        data["places"] = [_as_data(place) for place in stats.places]
    return data


@cache
def _names(kind: type[Stats | PlaceStats | PoolStats]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


class ToServer(logging.Handler):
    """A log handler that sends records to the server as frames.

    Args:
        channel: the connection to the server.
    """

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; drop it if the server is gone."""
        fields = {
            "name": record.name,
            "levelno": record.levelno,
            "levelname": record.levelname,
            "msg": record.getMessage()[:_LONGEST],
            "created": record.created,
            "msecs": record.msecs,
            "exc_text": exception_of(record)[-_LONGEST:] or None,
            **facts_of(record),
        }
        with suppress(OSError):
            self._channel.send({"op": "log", "record": fields})
