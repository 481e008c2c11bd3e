"""The work that a function does, counted in lines of Python: the same on every machine."""

import sys
from collections.abc import Callable
from types import FrameType


def lines_of(work: Callable[[], object]) -> int:
    """Return the lines of Python that are executed in this thread."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object):
        nonlocal lines
        del frame, argument
        lines += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return lines


def growth(work: Callable[[int], object], size: int) -> float:
    """Return the factor by which work on twice the size is more: 2 if it is linear, 4 if square."""
    work(size)  # Imports and caches are filled now.
    return lines_of(lambda: work(2 * size)) / lines_of(lambda: work(size))
