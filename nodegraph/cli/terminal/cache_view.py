"""The caches of a server's workers in a line each: what `nodegraph watch` says of them."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from nodegraph.cache.protocol import Stats
from nodegraph.runtime.model_pool import PoolStats
from nodegraph.runtime.sizes import format_size

_RESULTS: Final[Mapping[str, str]] = {
    "nodegraph_result_cache_entries": "entries",
    "nodegraph_result_cache_bytes": "nbytes",
    "nodegraph_result_cache_limit_bytes": "limit",
    "nodegraph_result_cache_hits_total": "hits",
    "nodegraph_result_cache_misses_total": "misses",
    "nodegraph_result_cache_evictions_total": "evictions",
}
_WEIGHTS: Final[Mapping[str, str]] = {
    "nodegraph_weights_cache_networks": "models",
    "nodegraph_weights_cache_bytes": "nbytes",
    "nodegraph_weights_cache_limit_bytes": "limit",
    "nodegraph_weights_cache_hits_total": "hits",
    "nodegraph_weights_cache_loads_total": "loads",
    "nodegraph_weights_cache_evictions_total": "evictions",
}


def read_stats(page: str) -> tuple[Stats, PoolStats]:
    """Return the state of all workers' caches together, of results and of weights.

    Args:
        page: what a server says at `/metrics`.
    """
    from prometheus_client.parser import text_string_to_metric_families

    results = {item.name: 0 for item in fields(Stats)}
    weights = {item.name: 0 for item in fields(PoolStats)}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            for names, sums in ((_RESULTS, results), (_WEIGHTS, weights)):
                if sample.name in names:
                    sums[names[sample.name]] += int(sample.value)
    return Stats(**results), PoolStats(**weights)


def describe(stats: Stats) -> str:
    """Return the state of a result cache in words."""
    used = f"{format_size(stats.nbytes)} of {format_size(stats.limit)}"
    counts = f"{stats.hits} hits, {stats.misses} misses, {stats.evictions} evictions"
    return f"result cache: {used}, {counts}"


def describe_weights(stats: PoolStats) -> str:
    """Return the state of a store of weights in words."""
    limit = f" of {format_size(stats.limit)}" if stats.limit else ""
    counts = f"{stats.hits} hits, {stats.loads} loads, {stats.evictions} evictions"
    return f"weights: {format_size(stats.nbytes)}{limit}, {counts}"
