"""Run a graph so that Ctrl-C stops it after a step, and a second one at once."""

import os
import signal
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

import click

from nodegraph.cancel import CancelToken
from nodegraph.cli.report import FAILED, WRONG
from nodegraph.cli.watch import View
from nodegraph.engine import Engine
from nodegraph.errors import InvalidWorkflowError, NodeGraphError, RunCancelledError
from nodegraph.validate import Checked

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """The wish to stop, and the signal that brought it."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.token = CancelToken()
        self.signal = 0
        self._say = say

    @property
    def code(self) -> int:
        """The exit code of a program that the signal ended."""
        return 128 + self.signal

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal: the first one cancels, the next ends the process."""
        if self.token.cancelled:
            if sys.stderr.isatty():
                click.echo("\x1b[?25h", err=True)  # a live display hides the cursor
            os._exit(128 + number)
        self.signal = number
        self.token.cancel()
        self._say("Stopping after this step. Ctrl-C again stops at once.")


def run_checked(checked: Checked, engine: Engine, view: View) -> tuple[NodeGraphError | None, int]:
    """Run what was checked in a thread of its own, so that signals are taken whatever it computes.

    Returns:
        What went wrong, if anything did, and the exit code.
    """
    stop = Stop(view.note)
    with _signals_to(stop), ThreadPoolExecutor(1) as pool:
        future = pool.submit(engine.run, checked, emit=view.show, cancel=stop.token)
        try:
            future.result()
        except RunCancelledError:
            return None, stop.code
        except InvalidWorkflowError as error:
            return error, WRONG
        except NodeGraphError as error:
            return error, FAILED
    return None, 0


@contextmanager
def _signals_to(stop: Stop) -> Generator[None]:
    before = {number: signal.signal(number, stop) for number in _STOPS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
