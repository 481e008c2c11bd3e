"""The places where runs keep results, as the settings have them, and what is on the disk."""

from collections.abc import Iterator
from typing import Final

from nodegraph.cache.disk import DISK, DiskResults
from nodegraph.cache.limit import AUTO, RESULTS_SHARE, limit_bytes
from nodegraph.cache.survey import HOST
from nodegraph.cli.explanation.values import Explanation, ResultPlace
from nodegraph.runtime.sizes import format_size
from nodegraph.settings.settings import Settings

CACHED = (
    "nothing. Results are kept in the memory of the process that computes them, and every"
    " `nodegraph run` is a new one. Servers and Python programs keep results from run to run,"
    " and do not say which."
)
ON_DISK = (
    "not known. Encoded prompts of earlier runs, and results that memory had no room for, may be on"
    " the disk; which of them a run finds is known when it has read the files that its nodes name."
)
_IN_HOST_MEMORY: Final = ("cpu", "mps")
"""The types of device whose results are in the machine's memory, as all others' may be."""


def kept_results(settings: Settings, device: str) -> tuple[ResultPlace, ...]:
    """Return the places, the fastest first; none if no results are kept.

    Args:
        settings: all of them.
        device: the type of device that computes.
    """
    if not settings.result_cache:
        return ()
    places: list[ResultPlace] = []
    if device not in _IN_HOST_MEMORY:
        limit = settings.device_result_cache
        if limit == AUTO:
            limit = f"{RESULTS_SHARE:.0%}"
        shown = format_size(limit) if isinstance(limit, int) else f"{limit} of its memory"
        places.append(ResultPlace(device, "device_result_cache", shown))
    in_memory = format_size(limit_bytes(settings.result_cache))
    places.append(ResultPlace(HOST, "result_cache", in_memory))
    if settings.disk_result_cache:
        found = DiskResults(settings.results_dir, settings.disk_result_cache, str).stats
        limit = format_size(found.limit)
        places.append(ResultPlace(DISK, "disk_result_cache", limit, found.entries, found.nbytes))
    return tuple(places)


def why_cached(explanation: Explanation) -> str:
    """Return what is known of results that are there before a run."""
    return ON_DISK if any(place.entries for place in explanation.results) else CACHED


def result_lines(explanation: Explanation) -> Iterator[str]:
    """Yield the places where results are kept, a line each."""
    if explanation.results:
        yield from ("", "Results that are kept for later runs, until a place is full:")
    for name, setting, limit, entries, nbytes in explanation.results:
        held = "" if nbytes is None else f", now {entries} of {format_size(nbytes)} together"
        yield f"  {name}: up to {limit} ({setting}){held}"
