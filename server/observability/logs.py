"""The log of the server and its workers: levels, formats, and the run a record is about.

Code that works for a run says so once, with `about`; every record of its thread or task carries it.
"""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from nodegraph.runtime.choices import LogFormat, LogLevel
from nodegraph.settings.server import EVERYWHERE

_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about")
FACTS = ("worker", "run", "node")
"""Attributes of a record that name its subject."""


def begin(form: LogFormat, levels: Mapping[str, LogLevel]) -> None:
    """Write records to stderr from now on; see `receive`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    receive(handler, levels)


def receive(handler: logging.Handler, levels: Mapping[str, LogLevel]) -> None:
    """Give records to a handler from now on.

    Args:
        handler: gets all records.
        levels: the lowest level that is logged, by room or for all of them; `info` if not given.
    """
    handler.addFilter(_mark)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(levels.get(EVERYWHERE, "info").upper())
    for room, level in levels.items():
        if room != EVERYWHERE:
            logging.getLogger(room).setLevel(level.upper())


def note(**facts: str) -> None:
    """Mark all further records of this thread or task with a `run`, `node` or `worker`."""
    _ABOUT.set({**_ABOUT.get({}), **facts})


@contextmanager
def about(**facts: str) -> Generator[None]:
    """Mark records from inside the block with a `run`, `node` or `worker`."""
    token = _ABOUT.set({**_ABOUT.get({}), **facts})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def facts_of(record: logging.LogRecord) -> dict[str, str]:
    """Return the run, node and worker that a record is about, as far as it has them."""
    return {name: text for name in FACTS if (text := getattr(record, name, ""))}


def exception_of(record: logging.LogRecord) -> str:
    """Return the traceback of a record; empty if it has none."""
    found = record.exc_text or ""
    return found or (
        logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    )


class TextFormatter(logging.Formatter):
    """Formats a record as a line for people, with its run, node and worker at the end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line."""
        facts = " ".join(f"{name}={text}" for name, text in facts_of(record).items())
        return super().formatMessage(record) + (f" [{facts}]" if facts else "")


class JsonFormatter(logging.Formatter):
    """Formats a record as a JSON line with `time`, `level`, `room`, `message`, `run` and others.

    What a record has as `details`, a mapping of JSON values, are fields of the line, too.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": record.name,
            "message": record.getMessage(),
            **facts_of(record),
            **getattr(record, "details", {}),
        }
        exception = exception_of(record)
        return json.dumps(fields | ({"exception": exception} if exception else {}))


def _mark(record: logging.LogRecord) -> bool:
    """Add the run, node and worker to a record that does not name them itself."""
    for name, text in _ABOUT.get({}).items():
        if not hasattr(record, name):
            setattr(record, name, text)
    return True
