"""The result caches of a server's workers in a line: what `nodegraph watch` says of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from nodegraph.cache.protocol import Stats
from nodegraph.runtime.sizes import format_size

_METRICS: Final[Mapping[str, str]] = {
    "nodegraph_result_cache_entries": "entries",
    "nodegraph_result_cache_bytes": "nbytes",
    "nodegraph_result_cache_limit_bytes": "limit",
    "nodegraph_result_cache_hits_total": "hits",
    "nodegraph_result_cache_misses_total": "misses",
    "nodegraph_result_cache_evictions_total": "evictions",
}


def read_stats(page: str) -> Stats:
    """Return the state of all workers' result caches together.

    Args:
        page: what a server says at `/metrics`.
    """
    from prometheus_client.parser import text_string_to_metric_families

    sums = {item.name: 0 for item in fields(Stats)}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            name = _METRICS.get(sample.name)
            if name is not None:
                sums[name] += int(sample.value)
    return Stats(**sums)


def describe(stats: Stats) -> str:
    """Return the state of a cache in words."""
    used = f"{format_size(stats.nbytes)} of {format_size(stats.limit)}"
    counts = f"{stats.hits} hits, {stats.misses} misses, {stats.evictions} evictions"
    return f"result cache: {used}, {counts}"
