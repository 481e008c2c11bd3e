"""Workers that crash, hang, flood or are stuck: only the run that is to blame notices."""

import os
import signal
import time

import pytest

from tests.server.serving import TOYS, install_toys, serving, toy, until
from tests.server.store.test_kill import gone


@pytest.fixture
def home(tmp_path):
    install_toys(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """A server with the toys alone, and two runs at once."""
    home = tmp_path_factory.mktemp("death")
    install_toys(home)
    with serving(home, ["--slots", "2"], environment=TOYS) as server:
        yield server


def deadly(kind, **inputs):
    return {
        "1": {"class_type": kind, "inputs": {"a": 0, **inputs}},
        "2": {"class_type": "ToyShow", "inputs": {"a": ["1", 0]}},
    }


def events_of(server, run):
    return server.get(f"/v1/runs/{run}/events").json["events"]


@pytest.mark.parametrize(
    ("kind", "inputs", "reason"),
    [
        ("ToyCrash", {}, "SIGSEGV"),
        ("ToyExit", {"code": 3}, "it exited with code 3"),
        ("ToyOrphan", {}, "it exited with code 4"),
    ],
)
def test_what_kills_its_worker_is_parked_with_the_reason(toys, kind, inputs, reason):
    run = toys.submit(deadly(kind, **inputs))
    entry = toys.finished(run)
    (error,) = [data for name, data in entry["status"]["messages"] if name == "execution_error"]

    assert error["exception_type"] == "run_parked"
    assert reason in error["exception_message"]
    events = events_of(toys, run)
    names = [event["name"] for event in events]
    assert names.count("run_started") == 3
    assert names.count("run_requeued") == 2
    begun = [event["time_ms"] for event in events if event["name"] == "node_started"]
    noticed = [event["time_ms"] for event in events if event["name"] == "run_requeued"]
    waited = [end - begin for begin, end in zip(begun, noticed, strict=False)]
    print(f"\n{kind}: the death is written down {waited} ms after the node began")
    toys.ready()


@pytest.mark.parametrize(
    "text",
    [
        "device-side assert triggered",
        "an illegal memory access was encountered",
        "unspecified launch failure",
    ],
)
def test_a_lost_device_fails_the_run_and_the_next_one_has_a_fresh_worker(toys, text):
    toys.ready()
    (pid,) = toys.worker_pids()
    run = toys.submit(deadly("ToyLoseDevice", text=text))
    after = toys.submit(toy(value=6))

    messages = dict(toys.finished(run)["status"]["messages"])
    assert text in messages["execution_error"]["exception_message"]
    assert toys.finished(after)["outputs"]["2"] == {"text": ["6"]}
    assert [event["name"] for event in events_of(toys, run)].count("run_started") == 1
    assert pid not in toys.worker_pids()


def test_a_run_that_fails_otherwise_leaves_its_worker_alive(toys):
    toys.ready()
    pids = toys.worker_pids()
    toys.finished(toys.submit(deadly("ToyFail")))
    toys.finished(toys.submit(toy(value=9)))

    assert toys.worker_pids() == pids


def test_others_do_not_notice_a_death(toys):
    beside = toys.submit(toy(steps=40, value=1), client_id="other")
    until(lambda: toys.get("/queue").json["queue_running"])
    bad = toys.submit(deadly("ToyExit", code=7), client_id="bad")
    after = toys.submit(toy(value=2), client_id="third")

    assert toys.finished(beside)["outputs"]["2"] == {"text": ["1"]}
    assert toys.finished(after)["outputs"]["2"] == {"text": ["2"]}
    assert toys.finished(bad)["status"]["status_str"] == "error"
    requeued = [event for event in events_of(toys, beside) if event["name"] == "run_requeued"]
    assert len(requeued) <= 1


def test_a_worker_killed_from_outside_is_back_and_its_run_finishes(toys):
    run = toys.submit(toy(steps=30, seconds=0.02, value=5))
    until(lambda: toys.get("/queue").json["queue_running"])
    (pid,) = toys.worker_pids()
    os.kill(pid, signal.SIGKILL)

    assert toys.finished(run)["outputs"]["2"] == {"text": ["5"]}
    (again,) = [event for event in events_of(toys, run) if event["name"] == "run_requeued"]
    assert "lack of memory" in again["data"]["reason"]
    assert toys.worker_pids() != [pid]


def test_a_node_that_holds_its_worker_holds_nobody_else(toys):
    run = toys.submit(deadly("ToyHold", seconds=600))
    until(lambda: toys.get("/queue").json["queue_running"])
    until(lambda: any(e["name"] == "node_started" for e in events_of(toys, run)))
    assert toys.get("/prompt").status == 200
    assert toys.get("/readyz").status == 200
    assert toys.get("/queue").json["queue_running"], "replies came while the node held on"
    (pid,) = toys.worker_pids()
    toys.post("/interrupt", {})
    os.kill(pid, signal.SIGKILL)  # nothing less ends it

    entry = toys.finished(run)
    assert [name for name, _ in entry["status"]["messages"]][-1] == "execution_interrupted"
    toys.ready()


def test_a_flood_of_progress_does_not_hold_up_the_server(toys):
    run = toys.submit(toy(steps=20_000, seconds=0, value=8))
    slowest = 0.0
    while run not in toys.get(f"/history/{run}").json:
        began = time.monotonic()
        assert toys.get("/prompt").status == 200
        slowest = max(slowest, time.monotonic() - began)

    assert toys.finished(run)["outputs"]["2"] == {"text": ["8"]}
    assert slowest < 5


def test_a_long_chain_is_told_of_completely(toys):
    length = 2000
    prompt = {
        str(n): {"class_type": "ToyAdd", "inputs": {"a": [str(n - 1), 0], "b": 1}}
        for n in range(2, length + 1)
    }
    prompt["1"] = {"class_type": "ToyNumber", "inputs": {"value": 1}}
    prompt["show"] = {"class_type": "ToyShow", "inputs": {"a": [str(length), 0]}}
    run = toys.submit(prompt)

    assert toys.finished(run)["outputs"]["show"] == {"text": [str(length)]}
    found, after = [], 0
    while page := toys.get(f"/v1/runs/{run}/events?after={after}").json["events"]:
        found += [event["sequence"] for event in page]
        after = page[-1]["id"]
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= 2 * (length + 1)


def test_told_to_stop_a_server_finishes_what_runs_and_keeps_what_waits(home):
    with serving(home, environment=TOYS) as server:
        running = server.submit(toy(steps=40, seconds=0.02, value=1))
        waiting = server.submit(toy(value=2))
        until(lambda: server.get("/queue").json["queue_running"])
        server.process.send_signal(signal.SIGTERM)
        assert until(lambda: server.post("/prompt", {"prompt": toy()}).status) == 503
        assert server.process.wait(30) == 0
    with serving(home, environment=TOYS) as server:
        events = events_of(server, running)
        assert [event["name"] for event in events].count("run_started") == 1
        assert events[-1]["name"] == "run_finished"
        assert server.finished(waiting)["outputs"]["2"] == {"text": ["2"]}


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_told_twice_it_ends_at_once_and_so_does_a_worker_that_is_stuck(home, number):
    with serving(home, environment=TOYS) as server:
        stuck = server.submit(deadly("ToyHold", seconds=600))
        until(lambda: any(e["name"] == "node_started" for e in events_of(server, stuck)))
        pids = server.worker_pids()
        server.process.send_signal(number)
        until(lambda: "stopping" in (home / "log.txt").read_text())
        time.sleep(0.2)
        server.process.send_signal(number)
        assert server.process.wait(5) == -number
        assert gone(pids) < 5
    with serving(home, environment=TOYS) as server:
        server.post(f"/v1/runs/{stuck}/cancel")
        until(server.worker_pids)
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        server.finished(stuck)


def test_a_stuck_worker_is_killed_when_the_server_does_not_wait_any_longer(home):
    with serving(home, environment=TOYS | {"NODEGRAPH_SERVER_DRAIN": "0.2"}) as server:
        stuck = server.submit(deadly("ToyHold", seconds=600))
        until(lambda: any(e["name"] == "node_started" for e in events_of(server, stuck)))
        pids = server.worker_pids()
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 15
        assert gone(pids) < 1
