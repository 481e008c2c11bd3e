"""How a run is told to stop."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

from nodegraph.errors import RunCancelledError


class CancelToken:
    """One run's wish to stop: set once, from any thread, and looked at between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the run to stop as soon as it can."""
        self._event.set()

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def check(self) -> None:
        """Stop here if somebody asked.

        Raises:
            RunCancelledError: somebody did.
        """
        if self._event.is_set():
            raise RunCancelledError


_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@contextmanager
def cancellable(check: Callable[[], None]) -> Generator[None]:
    """Let `check_cancelled` in this thread ask `check`, which raises to stop."""
    token = _CHECK.set(check)
    try:
        yield
    finally:
        _CHECK.reset(token)


def check_cancelled() -> None:
    """Stop here if nobody wants what this thread computes; for work deep inside of a node.

    Raises:
        RunCancelledError: nobody does.
    """
    check = _CHECK.get()
    if check is not None:
        check()
