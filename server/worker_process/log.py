"""Sends a worker's log records to the server's log."""

import logging
from contextlib import suppress

from server.observability.logs import exception_of, facts_of
from server.workers.wire import Channel

_LONGEST = 100_000


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
