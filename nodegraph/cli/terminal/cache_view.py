"""The caches of a server's workers in a line each: what `nodegraph watch` says of them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nodegraph.cache.protocol import PlaceStats, Stats
from nodegraph.cache.survey import HOST
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
_PLACES: Final[Mapping[str, str]] = {
    "nodegraph_results_entries": "entries",
    "nodegraph_results_bytes": "nbytes",
    "nodegraph_results_limit_bytes": "limit",
    "nodegraph_results_hits_total": "hits",
    "nodegraph_results_spills_total": "spills",
    "nodegraph_results_spilled_bytes_total": "spilled_bytes",
    "nodegraph_results_returns_total": "returns",
    "nodegraph_results_evictions_total": "evictions",
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

    results, weights = Counter[str](), Counter[str]()
    places: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in _RESULTS:
                results[_RESULTS[sample.name]] += int(sample.value)
            elif sample.name in _WEIGHTS:
                weights[_WEIGHTS[sample.name]] += int(sample.value)
            elif sample.name in _PLACES:
                place = places.setdefault(sample.labels["place"], Counter())
                place[_PLACES[sample.name]] += int(sample.value)
    found = tuple(PlaceStats(name, **sums) for name, sums in places.items())
    return replace(Stats(), **results, places=found), PoolStats(**weights)


def describe(stats: Stats) -> str:
    """Return the state of a result cache in words: the host's memory, then the other places."""
    counts = f"{stats.hits} hits, {stats.misses} misses, {stats.evictions} evictions"
    others = [_describe_place(place) for place in stats.places if place.place != HOST]
    return "; ".join([f"result cache: {_usage(stats)}, {counts}", *others])


def _describe_place(place: PlaceStats) -> str:
    moved = f"{place.spills} spills ({format_size(place.spilled_bytes)})"
    return f"{place.place}: {_usage(place)}, {place.hits} hits, {moved}, {place.returns} returns"


def _usage(stats: Stats | PlaceStats) -> str:
    return f"{format_size(stats.nbytes)} of {format_size(stats.limit)}"


def describe_weights(stats: PoolStats) -> str:
    """Return the state of a store of weights in words."""
    limit = f" of {format_size(stats.limit)}" if stats.limit else ""
    counts = f"{stats.hits} hits, {stats.loads} loads, {stats.evictions} evictions"
    return f"weights: {format_size(stats.nbytes)}{limit}, {counts}"
