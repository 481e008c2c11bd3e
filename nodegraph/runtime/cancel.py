"""Cancellation of runs."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from nodegraph.errors import RunCancelledError


class CancelToken:
    """A request to stop one run: set once, from any thread, and checked between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the run to stop as soon as it can."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """True once the run was asked to stop."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise if the run was asked to stop.

        Raises:
            RunCancelledError: it was.
        """
        if self._event.is_set():
            raise RunCancelledError


_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def cancellable(check: Callable[[], None]) -> Generator[None]:
    """Make `check_cancelled` in this thread call `check`, which raises to stop."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_cancelled() -> None:
    """Raise if the run of this thread was cancelled; for work deep inside a node.

    Raises:
        RunCancelledError: it was cancelled.
    """
    check = _CHECK.get()
    if check is not None:
        check()
