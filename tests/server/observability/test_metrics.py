"""What `/metrics` says, and that it does not grow with what clients send."""

import json
from dataclasses import asdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nodegraph.cache.limit import limit_bytes
from nodegraph.cache.protocol import PlaceStats, Stats
from nodegraph.cli.terminal.cache_view import describe, describe_weights, read_stats
from nodegraph.runtime.model_pool import PoolStats
from server.observability.metrics import OTHER, Metrics
from tests.server.serving import TOYS, block, install_toys, picture, serving, toy, until


def read(text):
    """Every sample of a page: value by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def page(server):
    return read(server.get("/metrics").data.decode())


def test_runs_nodes_and_models_are_counted(server):
    before = page(server)
    server.finished(server.submit(picture(seed=77)))
    server.finished(server.submit(picture(seed=78)))
    failed = {
        "1": {"class_type": "ToyFail", "inputs": {"a": 1}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }
    server.finished(server.submit(failed))
    after = until(lambda: page(server))

    def more(*key):
        return after[key] - before.get(key, 0)

    assert more("nodegraph_jobs_total", "succeeded") == 2
    assert more("nodegraph_jobs_total", "failed") == 1
    assert more("nodegraph_job_duration_seconds_count") == 3
    assert more("nodegraph_queue_wait_seconds_count") == 3
    assert more("nodegraph_node_duration_seconds_count", "KSampler") == 2
    assert more("nodegraph_node_duration_seconds_sum", "KSampler") > 0
    used = more("nodegraph_model_cache_hits_total") + more("nodegraph_model_cache_misses_total")
    assert used >= 4
    assert more("nodegraph_model_cache_hits_total") >= 2
    loads = after[("nodegraph_model_load_seconds_count",)]
    assert loads == after[("nodegraph_model_cache_misses_total",)] > 0
    assert after[("process_resident_memory_bytes",)] > 0


def test_what_waits_and_what_dies_is_counted(tmp_path):
    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS) as server:
        until(lambda: page(server).get(("nodegraph_queue_depth", "normal")) == 0)
        leaving = {
            "1": {"class_type": "ToyExit", "inputs": {"a": 0, "code": 3}},
            "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
        }
        busy = server.submit(toy(steps=40, seconds=0.05))
        waiting = [server.submit(leaving), server.submit(toy())]
        until(lambda: page(server)[("nodegraph_queue_depth", "normal")] == 2)
        for run in (busy, *waiting):
            server.finished(run)
        found = page(server)

    assert found[("nodegraph_worker_restarts_total", "exit")] == 3
    assert found[("nodegraph_jobs_total", "failed")] == 1


def result_cache(server):
    """The result cache of the one worker, by metric."""
    return metrics_of(server, "nodegraph_result_cache_")


def weights_cache(server):
    """The weights that the one worker has in memory, by metric."""
    return metrics_of(server, "nodegraph_weights_cache_")


def metrics_of(server, start):
    """The metrics of the one worker whose name begins so."""
    found = {key: value for key, value in page(server).items() if key[0].startswith(start)}
    assert {worker for _, worker in found} == {"cpu"}
    return {name.removeprefix(start): int(value) for (name, _), value in found.items()}


def test_the_result_cache_has_the_size_that_is_set_and_is_counted(tmp_path):
    install_toys(tmp_path)
    flags = ("--device", "cpu", "--result-cache", "1MiB")
    with serving(tmp_path, flags, TOYS | {"NODEGRAPH_RESULT_CACHE": "7GiB"}) as server:
        fresh = result_cache(server)
        server.finished(server.submit(block(700)))
        kept = result_cache(server)
        server.finished(server.submit(block(700)))
        hit = result_cache(server)
        server.finished(server.submit(block(600)))
        evicted = result_cache(server)
        server.finished(server.submit(block(900)))
        too_large = result_cache(server)
        server.post("/free", {"unload_models": True, "free_memory": True})
        freed = until(lambda: (state := result_cache(server))["entries"] == 0 and state)

    assert fresh == dict.fromkeys(fresh, 0) | {"limit_bytes": 1 << 20}
    assert 700 << 10 <= kept["bytes"] < 710 << 10
    assert hit["hits_total"] == kept["hits_total"] + 1
    assert (hit["bytes"], hit["evictions_total"]) == (kept["bytes"], 0)
    assert evicted["entries"] == evicted["evictions_total"] == 1  # the one that was cheaper to make
    assert 600 << 10 <= evicted["bytes"] < 710 << 10
    assert too_large["misses_total"] > evicted["misses_total"] > hit["misses_total"] > 0
    assert too_large["bytes"] == evicted["bytes"]
    assert (freed["bytes"], freed["hits_total"]) == (0, too_large["hits_total"])


def test_the_weights_in_memory_are_counted_and_watched_by_their_metrics():
    metrics = Metrics()
    stats = PoolStats(models=2, nbytes=3 << 20, limit=5 << 20, hits=7, loads=4, evictions=1)
    metrics.caches("cuda:0", Stats(), stats)
    metrics.caches("cuda:1", Stats(), stats)
    both = PoolStats(models=4, nbytes=6 << 20, limit=10 << 20, hits=14, loads=8, evictions=2)

    _, read = read_stats(metrics.page().decode())

    assert read == both
    assert describe_weights(read) == "weights: 6.0 MiB of 10.0 MiB, 14 hits, 8 loads, 2 evictions"
    metrics.worker_restarted("cuda:1", "exit")
    assert read_stats(metrics.page().decode())[1] == stats


def test_each_place_of_results_is_counted_and_watched():
    metrics, card = Metrics(), "cuda:0"
    host = PlaceStats("host", entries=3, nbytes=1 << 20, limit=4 << 20, hits=5, evictions=2)
    there = PlaceStats(card, 2, 3 << 20, 8 << 20, 7, spills=4, spilled_bytes=6 << 20, returns=1)
    stats = Stats(3, 1 << 20, 4 << 20, hits=12, misses=6, evictions=2, places=(host, there))
    metrics.caches("one", Stats.from_data(json.loads(json.dumps(asdict(stats)))), PoolStats())
    metrics.caches("two", stats, PoolStats())

    read, _ = read_stats(metrics.page().decode())

    assert labels_of(metrics, "nodegraph_results_spills_total") == {
        (place, worker) for place in ("host", card) for worker in ("one", "two")
    }
    assert (read.hits, read.places[1].spills, read.places[1].entries) == (24, 8, 4)
    assert describe(stats) == (
        "result cache: 1.0 MiB of 4.0 MiB, 12 hits, 6 misses, 2 evictions;"
        " cuda:0: 3.0 MiB of 8.0 MiB, 7 hits, 4 spills (6.0 MiB), 1 returns"
    )


def labels_of(metrics, name):
    """The labels of each sample of a metric."""
    return {key[1:] for key in read(metrics.page().decode()) if key[0] == name}


@pytest.mark.slow
def test_a_long_run_tells_of_the_cache_before_it_is_over(tmp_path):
    install_toys(tmp_path)
    slow = {
        "1": {"class_type": "ToyNumber", "inputs": {"value": 1}},
        "2": {"class_type": "ToySteps", "inputs": {"a": ["1", 0], "count": 30, "seconds": 0.05}},
        "3": {"class_type": "ToySteps", "inputs": {"a": ["2", 0], "count": 1000, "seconds": 0.05}},
        "4": {"class_type": "ToyShow", "inputs": {"a": ["3", 0]}},
    }
    with serving(tmp_path, ("--device", "cpu"), TOYS) as server:
        run = server.submit(slow)
        told = until(lambda: (state := result_cache(server))["misses_total"] and state)
        known = server.get(f"/v1/runs/{run}").json["status"]
        server.post("/interrupt", {"prompt_id": run})

    assert known == "running"
    assert told["limit_bytes"] > 0


@pytest.mark.slow
def test_workers_share_the_memory_and_a_new_process_counts_anew(tmp_path):
    install_toys(tmp_path)
    environment = TOYS | {"NODEGRAPH_RESULT_CACHE": "auto"}
    with serving(tmp_path, ("--device", "cpu", "--device", "cpu"), environment) as server:
        found = until(lambda: len(limits := labelled(page(server), "limit_bytes")) == 2 and limits)

    assert found == dict.fromkeys(("cpu", "cpu#2"), limit_bytes("auto", 2))


def labelled(found, metric):
    """A metric of the result caches, by worker."""
    name = f"nodegraph_result_cache_{metric}"
    return {key[1]: int(value) for key, value in found.items() if key[0] == name}


def test_labels_are_bounded():
    metrics = Metrics({"Known"})
    for number in range(1000):
        metrics.node_finished(f"Made up {number}", 1.0)
    metrics.node_finished("Known", 1.0)
    metrics.watch_queue(lambda: dict.fromkeys(range(-500, 501), 1))

    found = read(metrics.page().decode())
    assert found[("nodegraph_node_duration_seconds_count", OTHER)] == 1000
    assert found[("nodegraph_node_duration_seconds_count", "Known")] == 1
    depths = {key[1]: value for key, value in found.items() if key[0] == "nodegraph_queue_depth"}
    assert depths == {"high": 500, "normal": 1, "low": 500}
