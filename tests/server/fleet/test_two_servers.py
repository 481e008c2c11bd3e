"""Two server processes over one Postgres: events and cancelling through either, and sudden ends."""

import os
import signal
from collections import Counter

import pytest

from tests.server import postgres
from tests.server.api.comfy.listening import listening
from tests.server.api.v1.test_events import stream
from tests.server.fleet.members import serving_in_fleet
from tests.server.serving import ended, install_toys, toy, until

FILE = {"prefix": "fleet", "megabytes": 0.1}

pytestmark = pytest.mark.slow


def watched(count=40):
    """A prompt that makes previews for who looks, and tells of its progress."""
    return {"1": {"class_type": "ToyWatched", "inputs": {"count": count, "seconds": 0.05}}}


def saves(value, steps, seconds):
    """A prompt that takes a while and saves one file."""
    inputs = {"a": value, "count": steps, "seconds": seconds}
    return {
        "1": {"class_type": "ToySteps", "inputs": inputs},
        "2": {"class_type": "ToyFile", "inputs": {"a": ["1", 0], **FILE}},
    }


def look(url, question, *values):
    """The first row that answers a question to the database."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(question.encode(), values).fetchone()


def computing(url, run):
    """The name of the server that computes a run, once one does."""
    sql = "SELECT server FROM runs WHERE id = %s AND state = 'running'"
    return until(lambda: (look(url, sql, run) or [""])[0])


def running(server):
    """The ids of the runs that are computed, as ComfyUI's dialect lists them."""
    return {item[1] for item in server.get("/queue").json["queue_running"]}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two servers with a worker each, by name, and the URL of their database."""
    home = tmp_path_factory.mktemp("fleet")
    install_toys(home)
    url = postgres.needed().create_with_tables()
    with serving_in_fleet(home, url, "a") as a, serving_in_fleet(home, url, "b") as b:
        yield {"a": a, "b": b}, url


@pytest.fixture
def far(pair):
    """Start a run; its id, the server that computes it, the other one, and the database."""
    servers, url = pair

    def start(prompt, **more):
        run = servers["a"].submit(prompt, **more)
        name = computing(url, run)
        return run, servers.pop(name), *servers.values(), url

    servers = dict(servers)
    return start


def test_a_run_that_finds_no_free_worker_here_is_computed_by_the_other_server(pair):
    servers, url = pair
    a, b = servers.values()

    runs = [a.submit(toy(100, 0.05, value), client_id="c") for value in range(2)]
    where = {computing(url, run) for run in runs}
    for server in (a, b):  # each hears of the other's run a moment later
        until(lambda server=server: running(server) == {*runs})
    counts = [server.get("/prompt").json["exec_info"]["queue_remaining"] for server in (a, b)]
    histories = [[server.finished(run)["outputs"] for run in runs] for server in (a, b)]

    assert where == {"a", "b"}
    assert counts == [2, 2]
    assert histories[0] == histories[1]


def test_messages_progress_and_previews_come_through_the_other_server(pair, far):
    servers, _ = pair
    with listening(servers["a"], "me") as one, listening(servers["b"], "me") as two:
        run, _, other, _ = far(watched(), client_id="me")
        heard = [listener.ended(run) for listener in (one, two)]
        pictures = [len(listener.binary) for listener in (one, two)]
        last = max(message["seq"] for message in one.messages if "seq" in message)
    with listening(other, "me", since=0) as late:
        again = late.ended(run)

    names = [[m["type"] for m in messages if m["type"] != "progress"] for messages in heard]
    kept = [[m["seq"] for m in messages if "seq" in m] for messages in heard]
    assert kept[0] == kept[1] == sorted({*kept[0]})
    assert [m["seq"] for m in again if "seq" in m] == kept[0]
    assert last == kept[0][-1]
    assert min(pictures) > 0
    assert all(any(m["type"] == "progress" for m in messages) for messages in heard)
    for each in names:
        assert each[0] == "execution_start"
        assert each[-2:] == ["execution_success", "executing"]


def test_a_stream_of_events_goes_on_at_the_other_server(far):
    run, near, other, _ = far(watched(), client_id="s")
    first = [(n, name) for n, name, _ in stream(near, run, limit=500) if n is not None]
    rest = [(n, name) for n, name, _ in stream(other, run, first[-1][0]) if n is not None]
    passing = [name for n, name, _ in stream(other, run) if n is None]

    whole = [(e["id"], e["name"]) for e in near.get(f"/v1/runs/{run}/events").json["events"]]
    assert [*first, *rest] == whole
    assert rest[-1][1] == "run_finished"
    assert passing == []


@pytest.mark.parametrize("way", ["/v1", "/interrupt", "/api/jobs"])
def test_the_other_server_cancels_a_run(far, way):
    run, near, other, _ = far(toy(10_000, 0.01))
    if way == "/v1":
        assert other.post(f"/v1/runs/{run}/cancel").status == 200
    elif way == "/interrupt":
        until(lambda: run in str(other.get("/queue").json["queue_running"]))
        other.post("/interrupt", {"prompt_id": run})
    else:
        assert other.post(f"/api/jobs/{run}/cancel").json == {"cancelled": True}

    assert ended(near, run)["status"] == ended(other, run)["status"] == "cancelled"
    until(
        lambda: (
            [s.get("/prompt").json["exec_info"]["queue_remaining"] for s in (near, other)] == [0, 0]
        )
    )


def test_a_run_that_was_cancelled_is_retried_from_the_other_server(far):
    run, near, other, url = far(toy(10_000, 0.01))
    other.post(f"/v1/runs/{run}/cancel")
    ended(near, run)
    until(lambda: not look(url, "SELECT id FROM runs WHERE state = 'running'"))

    assert other.post(f"/v1/runs/{run}/retry").json["status"] == "queued"
    computing(url, run)
    near.post(f"/v1/runs/{run}/cancel")
    assert ended(near, run)["status"] == "cancelled"


def test_a_server_whose_name_is_taken_does_not_start_and_says_so(pair, tmp_path):
    servers, url = pair
    run = servers["a"].submit(toy(100, 0.05))
    computing(url, run)
    install_toys(tmp_path)
    flags = ("--data-dir", str(tmp_path / "another"))

    with (
        pytest.raises(AssertionError, match=r"has the name 'b' already\..*\n +Set server\.name"),
        serving_in_fleet(tmp_path, url, "b", *flags),
    ):
        pass
    assert ended(servers["a"], run)["status"] == "succeeded"
    assert look(url, "SELECT attempts FROM runs WHERE id = %s", run) == (1,)


def test_a_killed_server_s_run_is_computed_by_the_other_and_saves_one_file(tmp_path, database):
    install_toys(tmp_path)
    with (
        serving_in_fleet(tmp_path, database, "b", lease=1) as b,
        serving_in_fleet(tmp_path, database, "a", lease=1) as a,
    ):
        run = b.submit(saves(7, 60, 0.05))
        victim, other = (a, b) if computing(database, run) == "a" else (b, a)
        victim.kill()
        done = ended(other, run)
        found = look(database, "SELECT attempts, deaths, state FROM runs WHERE id = %s", run)

    assert done["status"] == "succeeded"
    assert found == (2, 0, "succeeded")
    assert len(list(other.output.glob("fleet*.txt"))) == 1


def test_a_server_that_was_paused_writes_nothing_into_the_next_attempt(tmp_path, database):
    install_toys(tmp_path)
    with (
        serving_in_fleet(tmp_path, database, "a", lease=1) as a,
        serving_in_fleet(tmp_path, database, "b", lease=1) as b,
    ):
        run = a.submit(saves(7, 60, 0.05))
        victim, other = (a, b) if computing(database, run) == "a" else (b, a)
        os.kill(victim.process.pid, signal.SIGSTOP)
        try:
            done = ended(other, run)
            events = other.get(f"/v1/runs/{run}/events").json["events"]
        finally:
            os.kill(victim.process.pid, signal.SIGCONT)
        again = other.submit(toy(1, 0.01))
        ended(victim, again)
        until(lambda: victim.get("/prompt").json["exec_info"]["queue_remaining"] == 0)
        after = victim.get(f"/v1/runs/{run}/events").json["events"]
        known = victim.get(f"/v1/runs/{run}").json

    assert done["status"] == known["status"] == "succeeded"
    assert events == after
    names = Counter(event["name"] for event in events)
    assert (names["run_requeued"], names["run_finished"]) == (1, 1)
    assert len(list(other.output.glob("fleet*.txt"))) == 1
