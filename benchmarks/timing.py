"""Times of calls, and what many of them come to."""

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that an asynchronous call takes."""
    begin = time.perf_counter()
    await call()
    return time.perf_counter() - begin


def median_ms(times: Sequence[float]) -> float:
    """Return the median of seconds, in milliseconds."""
    return statistics.median(times) * 1000


def percentile_ms(times: Sequence[float], part: float) -> float:
    """Return a percentile of seconds, in milliseconds: the time below which that part is."""
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000
