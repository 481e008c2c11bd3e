"""What the server and its workers log: from which level on, in which shape, about which run.

Whoever works for a run says so once, with `about`; every record of that thread or task carries it.
"""

import json
import logging
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

from nodegraph.choices import LogFormat, LogLevel
from nodegraph.server_settings import EVERYWHERE

_ABOUT: ContextVar[Mapping[str, str]] = ContextVar("about")
FACTS = ("worker", "run", "node")
"""What a record may be about, as attributes of it."""


def begin(form: LogFormat, levels: Mapping[str, LogLevel]) -> None:
    """Write records to stderr from now on; see `set_levels`."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    receive(handler, levels)


def receive(handler: logging.Handler, levels: Mapping[str, LogLevel]) -> None:
    """Give records to a handler from now on.

    Args:
        handler: gets all of them.
        levels: from which level on, by room or for all of them, which is `info` if not given.
    """
    handler.addFilter(_mark)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(levels.get(EVERYWHERE, "info").upper())
    for room, level in levels.items():
        if room != EVERYWHERE:
            logging.getLogger(room).setLevel(level.upper())


def note(**facts: str) -> None:
    """From now on records of this thread or task are about this `run`, `node` or `worker`, too."""
    _ABOUT.set({**_ABOUT.get({}), **facts})


@contextmanager
def about(**facts: str) -> Generator[None]:
    """Records from inside are about this `run`, `node` or `worker`, too."""
    token = _ABOUT.set({**_ABOUT.get({}), **facts})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def facts_of(record: logging.LogRecord) -> dict[str, str]:
    """What a record is about."""
    return {name: text for name in FACTS if (text := getattr(record, name, ""))}


def exception_of(record: logging.LogRecord) -> str:
    """The traceback that a record has, or nothing."""
    found = record.exc_text or ""
    return found or (
        logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
    )


class TextFormatter(logging.Formatter):
    """A line for people, what it is about at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line."""
        facts = " ".join(f"{name}={text}" for name, text in facts_of(record).items())
        return super().formatMessage(record) + (f" [{facts}]" if facts else "")


class JsonFormatter(logging.Formatter):
    """A JSON object a line: `time`, `level`, `room`, `message`, what it is about, `exception`."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "room": record.name,
            "message": record.getMessage(),
            **facts_of(record),
        }
        exception = exception_of(record)
        return json.dumps(told | ({"exception": exception} if exception else {}))


def _mark(record: logging.LogRecord) -> bool:
    """Note what a record is about, unless it says so itself."""
    for name, text in _ABOUT.get({}).items():
        if not hasattr(record, name):
            setattr(record, name, text)
    return True
