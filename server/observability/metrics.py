"""The server's metrics, in Prometheus' format.

No metric has a label for runs, prompts, clients or model files, whose number is unlimited.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from nodegraph.cache.protocol import Stats
from nodegraph.runtime.model_pool import PoolStats
from server.observability.observer import ModelUse, Observer
from server.store.runs import ENDED, Run

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OTHER = "other"
"""The label of unknown node types."""
_NODES = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_RUNS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
_WAITS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14400)

_StatsMetrics: TypeAlias = Mapping[
    str, tuple[type[CounterMetricFamily | GaugeMetricFamily], str, str]
]
"""The kind, the field of the stats and the help text of each metric, by its name."""
_RESULTS: _StatsMetrics = {
    "hits": (CounterMetricFamily, "hits", "Nodes whose result was kept."),
    "misses": (CounterMetricFamily, "misses", "Nodes whose result was not there."),
    "evictions": (CounterMetricFamily, "evictions", "Results dropped to make room."),
    "entries": (GaugeMetricFamily, "entries", "Results that are kept."),
    "bytes": (GaugeMetricFamily, "nbytes", "Bytes of the results that are kept."),
    "limit_bytes": (GaugeMetricFamily, "limit", "Bytes that results may have together."),
}
_PLACES: _StatsMetrics = {
    "hits": (CounterMetricFamily, "hits", "Results that were found there."),
    "spills": (CounterMetricFamily, "spills", "Results moved down from there to make room."),
    "spilled_bytes": (CounterMetricFamily, "spilled_bytes", "Bytes of those results."),
    "returns": (CounterMetricFamily, "returns", "Results copied back there for a node."),
    "evictions": (CounterMetricFamily, "evictions", "Results dropped there to make room."),
    "entries": (GaugeMetricFamily, "entries", "Results that are kept there."),
    "bytes": (GaugeMetricFamily, "nbytes", "Bytes of the results that are kept there."),
    "limit_bytes": (GaugeMetricFamily, "limit", "Bytes that results may have there."),
}
"""The metrics of a result cache by place: the host, an accelerator, the disk."""
_WEIGHTS: _StatsMetrics = {
    "hits": (CounterMetricFamily, "hits", "Networks that a run found in memory."),
    "loads": (CounterMetricFamily, "loads", "Networks that a run had to load."),
    "evictions": (CounterMetricFamily, "evictions", "Networks let go of to make room."),
    "networks": (GaugeMetricFamily, "models", "Networks whose weights are in memory."),
    "bytes": (GaugeMetricFamily, "nbytes", "Bytes of the weights in memory."),
    "limit_bytes": (GaugeMetricFamily, "limit", "Bytes of weights that stay between runs."),
}


class Metrics(Observer):
    """The metrics of one server.

    Args:
        class_types: the node types that may be used as labels.
    """

    def __init__(self, class_types: Container[str] = ()) -> None:
        self._class_types = [class_types]
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._jobs = self._counter("jobs", "Runs that are over.", "status")
        for status in ENDED:
            self._jobs.labels(status)
        self._waits = self._histogram("queue_wait", "From queued to begun, the first time.", _WAITS)
        self._durations = self._histogram("job_duration", "From begun to over.", _RUNS)
        self._nodes = self._histogram(
            "node_duration", "In a node's function.", _NODES, "class_type"
        )
        self._loads = self._histogram("model_load", "Reading a network's weights.", _RUNS)
        self._hits = self._counter("model_cache_hits", "Networks a run found in memory.")
        self._misses = self._counter("model_cache_misses", "Networks a run had to load.")
        self._restarts = self._counter("worker_restarts", "Workers that died.", "reason")
        self._memory = Gauge(
            *("nodegraph_gpu_memory_bytes", "Memory of a worker's card that is in use."),
            ["worker"],
            registry=self._registry,
        )
        self._results: dict[str, Stats] = {}
        self._weights: dict[str, PoolStats] = {}
        self._registry.register(_Caches("result_cache", _RESULTS, self._results))
        self._registry.register(_Places(self._results))
        self._registry.register(_Caches("weights_cache", _WEIGHTS, self._weights))

    def know_types(self, class_types: Container[str]) -> None:
        """Use further node types as labels."""
        self._class_types.append(class_types)

    def watch_queue(self, depths: Callable[[], Mapping[int, int]]) -> None:
        """Set the function that returns the number of waiting runs by priority."""
        self._registry.register(_Depths(depths))

    def run_begun(self, run: Run, /) -> None:
        """Count the wait of a run that has started."""
        if run.attempts == 1 and run.started_ms is not None:
            self._waits.observe(max(0, run.started_ms - run.queued_ms) / 1000)

    def run_ended(self, run: Run, _data: Mapping[str, Any], /) -> None:
        """Count a run that is over, and its duration."""
        self._jobs.labels(run.state).inc()
        if run.started_ms is not None and run.finished_ms is not None:
            self._durations.observe(max(0, run.finished_ms - run.started_ms) / 1000)

    def run_reported(self, _run: Run, name: str, data: Mapping[str, Any], /) -> None:
        """Count a computed node and its duration."""
        if name == "node_finished":
            self.node_finished(data["type_name"], data["seconds"])

    def node_finished(self, class_type: str, seconds: float) -> None:
        """Count a computed node and its duration."""
        known = any(class_type in types for types in self._class_types)
        self._nodes.labels(class_type if known else OTHER).observe(seconds)

    def model_used(self, use: ModelUse, /) -> None:
        """Count the use of a network, and its load if it had one."""
        if use.seconds is None:
            self._hits.inc()
        else:
            self._misses.inc()
            self._loads.observe(use.seconds)

    def worker_restarted(self, worker: str, reason: str) -> None:
        """Count the death of a worker, by a signal or by `exit`, and forget its caches."""
        self._restarts.labels(reason).inc()
        self._results.pop(worker, None)
        self._weights.pop(worker, None)

    def gpu_memory(self, worker: str, used: int) -> None:
        """Set the used bytes of a worker's GPU."""
        self._memory.labels(worker).set(used)

    def caches(self, worker: str, results: Stats, weights: PoolStats) -> None:
        """Set the state of a worker's caches."""
        self._results[worker] = results
        self._weights[worker] = weights

    def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _counter(self, name: str, says: str, *labels: str) -> Counter:
        return Counter(f"nodegraph_{name}", says, labels, registry=self._registry)

    def _histogram(
        self, name: str, says: str, buckets: tuple[float, ...], *labels: str
    ) -> Histogram:
        full = f"nodegraph_{name}_seconds"
        return Histogram(full, says, labels, buckets=buckets, registry=self._registry)


class _Depths(Collector):
    """The number of waiting runs by three kinds of priority, counted when it is read."""

    def __init__(self, depths: Callable[[], Mapping[int, int]]) -> None:
        self._depths = depths

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield the metric."""
        waiting = {"high": 0, "normal": 0, "low": 0}
        for priority, count in self._depths().items():
            waiting["high" if priority > 0 else "low" if priority < 0 else "normal"] += count
        family = GaugeMetricFamily("nodegraph_queue_depth", "Runs that wait.", labels=["priority"])
        for kind, count in waiting.items():
            family.add_metric([kind], count)
        yield family


class _Caches(Collector):
    """Caches of the workers, each as its process counts: from 0 when it starts anew."""

    def __init__(
        self, prefix: str, metrics: _StatsMetrics, caches: Mapping[str, Stats | PoolStats]
    ) -> None:
        self._prefix = prefix
        self._metrics = metrics
        self._caches = caches

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics, one worker a label."""
        caches = dict(self._caches)
        for name, (family, field, says) in self._metrics.items():
            metric = family(f"nodegraph_{self._prefix}_{name}", says, labels=["worker"])
            for worker, stats in caches.items():
                metric.add_metric([worker], getattr(stats, field))
            yield metric


class _Places(Collector):
    """The places of the workers' results, two labels a sample: the worker and the place."""

    def __init__(self, caches: Mapping[str, Stats]) -> None:
        self._caches = caches

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        caches = dict(self._caches)
        for name, (family, field, says) in _PLACES.items():
            metric = family(f"nodegraph_results_{name}", says, labels=["worker", "place"])
            for worker, stats in caches.items():
                for place in stats.places:
                    metric.add_metric([worker, place.place], getattr(place, field))
            yield metric
