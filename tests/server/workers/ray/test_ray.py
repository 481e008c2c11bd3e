"""Workers on Ray: a real head and two actors, on the processor."""

import asyncio
import time

import pytest

from tests.server.scheduling.test_preview_demand import previews, watched
from tests.server.serving import ended, install_toys, toy, until
from tests.server.workers.ray.cluster import (
    Cluster,
    busy_program,
    cluster,
    kill_actor_of,
    network_of_its_own,
    programs,
)

pytestmark = pytest.mark.slow
CLIENT = "ray://127.0.0.1:10001"


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    """A cluster that all tests of this file share."""
    with network_of_its_own(), cluster(tmp_path_factory.mktemp("ray")) as found:
        yield found


def number(value):
    return {
        "1": {"class_type": "ToyNumber", "inputs": {"value": value}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }


def long_file(value, steps=100, seconds=0.02):
    inputs = {"a": value, "count": steps, "seconds": seconds}
    file = {"a": ["1", 0], "prefix": f"ray{value}", "megabytes": 0.1}
    return {
        "1": {"class_type": "ToySteps", "inputs": inputs},
        "2": {"class_type": "ToyFile", "inputs": file},
    }


def events_of(server, run):
    return server.get(f"/v1/runs/{run}/events").json["events"]


def names_of(server, run):
    return [event["name"] for event in events_of(server, run)]


def files(server, value):
    return sorted(path.name for path in server.output.glob(f"ray{value}_*"))


def begin(server, prompt):
    run = server.submit(prompt)
    until(lambda: "node_started" in names_of(server, run))
    return run


def test_runs_end_previews_come_and_cancelling_is_quick(ray):
    with ray.serving() as server:
        assert server.finished(server.submit(toy(value=5)))["outputs"]["2"] == {"text": ["5"]}

        runs = []
        prompt = watched(20)
        told = asyncio.run(
            previews(server, "me", lambda: runs.append(server.submit(prompt, client_id="me")))
        )
        assert told == 20

        run = begin(server, toy(steps=3000, seconds=0.01))
        began = time.monotonic()
        server.post(f"/v1/runs/{run}/cancel")
        assert ended(server, run)["status"] == "cancelled"
        print(f"\ncancelled after {1000 * (time.monotonic() - began):.0f} ms")


def test_the_caches_outlive_a_killed_server_and_its_run_is_repeated(ray):
    with ray.serving() as server:
        before = programs()
        for turn in range(8):  # the workers take turns, so that both have both in the end
            server.finished(server.submit(number(turn // 2 % 2), client_id=str(turn)))
        run = begin(server, long_file(1))
        server.kill()
    with ray.serving() as server:
        assert server.finished(run, 120)["status"]["status_str"] == "success"
        assert names_of(server, run).count("run_started") == 2
        assert files(server, 1) == ["ray1_00001_.txt"]
        assert programs() == before
        again = server.submit(number(1))
        server.finished(again)
        assert events_of(server, again)[-1]["data"]["executed"] == 0


def test_a_killed_actor_s_run_is_repeated_and_saves_one_file(ray):
    with ray.serving() as server:
        run = begin(server, long_file(2))
        kill_actor_of(busy_program())
        entry = server.finished(run, 120)
        assert entry["status"]["status_str"] == "success"
        (again,) = [event for event in events_of(server, run) if event["name"] == "run_requeued"]
        assert "Ray actor was lost" in again["data"]["reason"]
        assert files(server, 2) == ["ray2_00001_.txt"]
        until(lambda: len(programs()) == 2, 120)


def test_what_crashes_its_process_is_parked_with_the_signal(ray):
    crash = {
        "1": {"class_type": "ToyCrash", "inputs": {"a": 0}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }
    with ray.serving() as server:
        run = server.submit(crash)
        messages = dict(server.finished(run, 120)["status"]["messages"])
        assert messages["execution_error"]["exception_type"] == "run_parked"
        assert "SIGSEGV" in messages["execution_error"]["exception_message"]
        assert names_of(server, run).count("run_started") == 3


def test_while_the_head_is_gone_no_worker_is_ready_and_then_all_goes_on(ray):
    with ray.serving() as server:
        run = begin(server, long_file(3, steps=1500))
        ray.stop()
        until(lambda: server.get("/readyz").status == 503, 120)
        assert server.get("/queue").status == 200
        ray.start()
        assert server.finished(run, 240)["status"]["status_str"] == "success"
        assert files(server, 3) == ["ray3_00001_.txt"]
        assert "run_requeued" in names_of(server, run)
        until(lambda: server.get("/readyz").status == 200, 240)


def test_a_machine_that_is_no_part_of_the_cluster_connects_by_its_client(ray):
    with ray.serving(["--workers", CLIENT]) as server:
        assert server.finished(server.submit(toy(value=6)))["outputs"]["2"] == {"text": ["6"]}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_where_nobody_answers_the_start_ends_and_says_what_to_do(ray, tmp_path, address):
    install_toys(tmp_path)
    more = {"NODEGRAPH_SERVER_RAY_ADDRESS": address}
    with pytest.raises(AssertionError) as ended_so, Cluster(tmp_path).serving(more=more):
        pass
    first, second = str(ended_so.value).strip().splitlines()
    assert "No connection to Ray" in first
    assert "Is the head running" in second


def test_the_settings_of_another_kind_of_actor_replace_those_that_are_there(ray):
    with ray.serving():
        before = programs()
    with ray.serving(more={"NODEGRAPH_SERVER_RAY_CPUS": "0.5"}):
        assert not set(programs()) & set(before)
