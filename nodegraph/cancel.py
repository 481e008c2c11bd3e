"""How a run is told to stop."""

import threading

from nodegraph.errors import RunCancelledError


class CancelToken:
    """One run's wish to stop: set once, from any thread, and looked at between steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the run to stop as soon as it can."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def check(self) -> None:
        """Stop here if somebody asked.

        Raises:
            RunCancelledError: somebody did.
        """
        if self._event.is_set():
            raise RunCancelledError
