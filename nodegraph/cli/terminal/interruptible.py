"""Run a graph so that Ctrl-C stops it after a step, and a second one at once."""

import os
import signal
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from nodegraph.cli.terminal.report import EXIT_FAILED, EXIT_INVALID
from nodegraph.cli.terminal.run_progress import View
from nodegraph.errors import InvalidWorkflowError, NodeGraphError, RunCancelledError
from nodegraph.execution.engine import Engine, RunOptions
from nodegraph.runtime.run_environment import CancelToken
from nodegraph.validation.validate import CheckedGraph

GRACE = 5.0
"""The most seconds that a run may take to stop; an import of a library can not be stopped."""
LAST_WORDS = 1.0
"""The most seconds that printing the last lines may take, when a run is left unfinished."""
_STOPS = (signal.SIGINT, signal.SIGTERM)
_GLANCE = 0.1


class Stop:
    """A request to stop, and the signals that asked for it.

    A signal is only recorded when it arrives, for it may interrupt the printing of a line.
    """

    def __init__(self, view: View) -> None:
        self.token = CancelToken()
        self._signals: list[int] = []
        self._view = view
        self._deadline = 0.0

    @property
    def code(self) -> int:
        """The exit code of a program that the signal ended."""
        return 128 + self._signals[0]

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Record a signal."""
        self._signals.append(number)

    def look(self) -> None:
        """Act on the signals so far: the first cancels the run, the second ends the process."""
        if not self._signals:
            return
        if not self.token.is_cancelled:
            self._deadline = time.monotonic() + GRACE
            self.token.cancel()
            self._view.note("Stopping after this step. Ctrl-C again stops at once.")
        elif len(self._signals) > 1 or time.monotonic() > self._deadline:
            self.leave()

    def leave(self) -> NoReturn:
        """End the process here and now: every file is written whole or not at all.

        Whoever reads what the view shows may have stopped reading, so it is not waited for
        long.
        """
        last_words = threading.Thread(target=self._last_words, daemon=True)
        last_words.start()
        last_words.join(LAST_WORDS)
        os._exit(self.code)

    def _last_words(self) -> None:
        with suppress(OSError):
            self._view.leave()


def run_checked(
    checked: CheckedGraph, engine: Engine, view: View, options: RunOptions
) -> tuple[NodeGraphError | None, int]:
    """Run what was checked in a thread of its own, so that signals are taken at any time.

    Returns:
        What went wrong, if anything did, and the exit code.
    """
    stop = Stop(view)
    with _signals_to(stop), ThreadPoolExecutor(1) as pool:
        future = pool.submit(engine.run, checked, emit=view.show, cancel=stop.token, **options)
        while not wait([future], timeout=_GLANCE).done:
            stop.look()
        try:
            future.result()
        except RunCancelledError:
            return None, stop.code
        except InvalidWorkflowError as error:
            return error, EXIT_INVALID
        except NodeGraphError as error:
            return error, EXIT_FAILED
    return None, 0


@contextmanager
def _signals_to(stop: Stop) -> Generator[None]:
    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
