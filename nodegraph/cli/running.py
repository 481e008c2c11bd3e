"""Run a graph so that Ctrl-C stops it after a step, and a second one at once."""

import os
import signal
import sys
import time
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

from nodegraph.cancel import CancelToken
from nodegraph.cli.report import FAILED, WRONG
from nodegraph.cli.watch import View
from nodegraph.engine import Engine
from nodegraph.errors import InvalidWorkflowError, NodeGraphError, RunCancelledError
from nodegraph.validate import Checked

GRACE = 5.0
"""How many seconds a run may take to stop: a library that is being imported hears nothing."""
_STOPS = (signal.SIGINT, signal.SIGTERM)
_GLANCE = 0.1


class Stop:
    """The wish to stop, and the signal that brought it."""

    def __init__(self, view: View) -> None:
        self.token = CancelToken()
        self.signal = 0
        self._view = view
        self._asked = 0.0

    @property
    def code(self) -> int:
        """The exit code of a program that the signal ended."""
        return 128 + self.signal

    @property
    def overdue(self) -> bool:
        """Whether the run was asked to stop, and has had its time."""
        return self.token.cancelled and time.monotonic() - self._asked > GRACE

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: the first one cancels, the next ends the process."""
        if self.token.cancelled:
            self.leave()
        self.signal = number
        self._asked = time.monotonic()
        self.token.cancel()
        self._view.note("Stopping after this step. Ctrl-C again stops at once.")

    def leave(self) -> NoReturn:
        """End the process here and now: every file is written whole or not at all."""
        self._view.close()
        sys.stderr.flush()
        os._exit(self.code)


def run_checked(checked: Checked, engine: Engine, view: View) -> tuple[NodeGraphError | None, int]:
    """Run what was checked in a thread of its own, so that signals are taken at any time.

    Returns:
        What went wrong, if anything did, and the exit code.
    """
    stop = Stop(view)
    with _signals_to(stop), ThreadPoolExecutor(1) as pool:
        future = pool.submit(engine.run, checked, emit=view.show, cancel=stop.token)
        _wait(future, stop)
        try:
            future.result()
        except RunCancelledError:
            return None, stop.code
        except InvalidWorkflowError as error:
            return error, WRONG
        except NodeGraphError as error:
            return error, FAILED
    return None, 0


def _wait(future: Future[Any], stop: Stop) -> None:
    while not wait([future], timeout=_GLANCE).done:
        if stop.overdue:
            stop.leave()


@contextmanager
def _signals_to(stop: Stop) -> Generator[None]:
    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
