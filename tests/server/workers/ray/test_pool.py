"""The cluster that the settings name, and the number of workers on it."""

import asyncio
import subprocess
import sys

import pytest

from nodegraph.errors import SettingsError
from nodegraph.settings.ray import RaySettings
from server.observability.metrics import Metrics
from server.workers.process_worker import ServerHooks
from server.workers.ray import pool
from server.workers.ray.pool import RayPool, Sizes, address_of
from tests.server.serving import ROOT

NODES = [{"CPU": 8.0, "GPU": 4.0}, {"CPU": 64.0, "GPU": 4.0}, {"CPU": 4.0}]


@pytest.mark.parametrize(
    ("workers", "address"),
    [("local", ""), ("ray", "head:6379"), ("ray://head:10001", "ray://head:10001")],
)
def test_workers_are_local_or_those_of_a_cluster(monkeypatch, workers, address):
    monkeypatch.setattr(pool, "find_spec", lambda name: name)

    assert address_of(workers, RaySettings(address="head:6379")) == address


def test_other_workers_are_refused_and_so_is_ray_where_it_is_not_installed(monkeypatch):
    with pytest.raises(SettingsError, match="no workers 'dask'") as refused:
        address_of("dask", RaySettings())
    assert "ray://HOST:10001" in refused.value.hint

    monkeypatch.setattr(pool, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="not installed") as refused:
        address_of("ray", RaySettings())
    assert "nodegraph[ray]" in refused.value.hint


@pytest.mark.parametrize(
    ("settings", "nodes", "sizes"),
    [
        (RaySettings(), NODES, Sizes(8, 8, 1.0, 4)),
        (RaySettings(), NODES[2:], Sizes(1, 1, 0.0, 1)),
        (RaySettings(workers=2, max_workers=6), NODES, Sizes(2, 6, 1.0, 4)),
        (RaySettings(workers=3, gpus=0, cpus=4), NODES, Sizes(3, 3, 0.0, 3)),
        (RaySettings(gpus=0.5), NODES[:1], Sizes(8, 8, 0.5, 8)),
        (RaySettings(workers=1, resources={"none": 1}), NODES, Sizes(1, 1, 1.0, 1)),
    ],
)
def test_there_is_a_worker_for_each_card_unless_the_settings_say_otherwise(settings, nodes, sizes):
    assert Sizes.choose(settings, nodes) == sizes


def test_more_actors_are_wanted_while_runs_wait_and_given_up_when_they_are_idle(
    monkeypatch, tmp_path
):
    monkeypatch.setattr(pool, "_PAUSE", 0.01)
    settings = RaySettings(workers=1, max_workers=4, idle=0.3)

    async def namer(_body):
        raise AssertionError

    async def scenario():
        found, waiting = RayPool(settings, "nowhere", tmp_path), [0]
        found._sizes = Sizes.choose(settings, NODES)
        hooks = ServerHooks(namer, Metrics(), lambda: None, print)
        workers = found.workers({"flags": {}}, hooks, 1)

        async def wanted(count):
            async with asyncio.timeout(20):
                while [worker.is_wanted for worker in workers].count(True) != count:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)

        found.scale(lambda: waiting[0])
        await wanted(1)
        waiting[0] = 3  # one of them for the actor that is still to come
        await wanted(3)
        await asyncio.sleep(0.1)
        await wanted(3)
        waiting[0] = 9
        await wanted(4)
        waiting[0] = 0
        await wanted(1)
        assert workers[0].is_wanted
        await found.close()

    asyncio.run(scenario())


def test_a_server_without_it_imports_nothing_of_ray():
    program = "import server.lifecycle.run, server.cli, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert not [name for name in done.stdout.split() if name.startswith(("ray", "grpc"))]
    assert "server.workers.ray" not in done.stdout.split()
