"""Two runs that need the same thing at the same time."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from nodegraph.cache.protocol import NoCache
from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.errors import NodeExecutionError, RunCancelledError
from nodegraph.execution.engine import Engine
from nodegraph.graph.graph import Link
from nodegraph.runtime.run_environment import CancelToken
from tests.toys import files_in, graph_of, registry_of

SOON = 5.0


class Gate:
    """A node type that waits at a gate, and how often and for whom it was called."""

    def __init__(self):
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.calls = []

        @node("Gate", category="test")
        def gate(a: int, context: Context) -> int:
            self.calls.append(context.run_id)
            self.entered.release()
            while not self.open.wait(0.001):
                context.check_cancelled()
            context.progress(1, 1)
            if a < 0:
                raise ValueError(a)
            return a

        self.kind = gate


@pytest.fixture
def gate():
    return Gate()


@pytest.fixture
def engine(tmp_path, gate):
    return Engine(registry_of(gate.kind), files_in(tmp_path), NoCache())


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as found:
        yield found


def start(pool, engine, name, a=1, node_id="x"):
    """A run of one gate under way, and what cancels it."""
    token = CancelToken()
    nodes = {node_id: ("Gate", {"a": a}), "end": ("Add", {"a": Link(node_id, 0)})}
    graph = graph_of(**nodes)
    run = pool.submit(engine.run, graph, targets=["end"], cancel=token, run_id=name)
    return run, token


def wait_for_passengers(engine, count):
    """Until so many runs wait for the one computation, or lead it."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        flights = list(engine._flights._by_key.values())
        if flights and len(flights[0].passengers) == count:
            return
        time.sleep(0.001)
    pytest.fail("they did not come")


def test_what_two_runs_need_at_once_is_computed_once(pool, engine, gate):
    first, _ = start(pool, engine, "first")
    gate.entered.acquire(timeout=SOON)
    others = [start(pool, engine, f"other{k}", node_id=f"n{k}")[0] for k in range(5)]
    wait_for_passengers(engine, 6)

    gate.open.set()

    assert {run.result(SOON).outputs["end"] for run in (first, *others)} == {(11,)}
    assert gate.calls == ["first"]
    assert [run.result().cached for run in (first, *others)] == [0, 1, 1, 1, 1, 1]


def test_different_work_is_not_waited_for(pool, engine, gate):
    runs = [start(pool, engine, str(k), a=k)[0] for k in range(3)]
    for _ in runs:
        assert gate.entered.acquire(timeout=SOON)

    gate.open.set()

    assert [run.result(SOON).outputs["end"] for run in runs] == [(10,), (11,), (12,)]


def test_a_run_that_waits_can_be_cancelled(pool, engine, gate):
    first, _ = start(pool, engine, "first")
    gate.entered.acquire(timeout=SOON)
    second, token = start(pool, engine, "second")
    wait_for_passengers(engine, 2)

    token.cancel()

    with pytest.raises(RunCancelledError):
        second.result(SOON)
    gate.open.set()
    assert first.result(SOON).outputs["end"] == (11,)


def test_who_waits_keeps_the_computation_alive(pool, engine, gate):
    first, token = start(pool, engine, "first")
    gate.entered.acquire(timeout=SOON)
    second, _ = start(pool, engine, "second")
    wait_for_passengers(engine, 2)

    token.cancel()
    time.sleep(0.02)
    gate.open.set()

    assert second.result(SOON).outputs["end"] == (11,)
    with pytest.raises(RunCancelledError):
        first.result(SOON)
    assert gate.calls == ["first"]


def test_it_stops_when_the_last_one_leaves(pool, engine, gate):
    first, token = start(pool, engine, "first")
    gate.entered.acquire(timeout=SOON)
    second, other = start(pool, engine, "second")
    wait_for_passengers(engine, 2)

    token.cancel()
    other.cancel()

    for run in (first, second):
        with pytest.raises(RunCancelledError):
            run.result(SOON)


def test_a_failure_is_shared_under_each_runs_own_id(pool, engine, gate):
    first, _ = start(pool, engine, "first", a=-1)
    gate.entered.acquire(timeout=SOON)
    second, _ = start(pool, engine, "second", a=-1, node_id="other")
    wait_for_passengers(engine, 2)

    gate.open.set()

    for run, node_id in ((first, "x"), (second, "other")):
        with pytest.raises(NodeExecutionError, match="ValueError: -1") as caught:
            run.result(SOON)
        assert caught.value.node_id == node_id
        assert isinstance(caught.value.__cause__, ValueError)
    assert gate.calls == ["first"]


@pytest.mark.parametrize("last", ["progress", "node_finished"])
def test_when_the_leader_dies_another_takes_over(pool, engine, gate, last):
    def broken(event):
        if event.name == last:
            message = "no consumer"
            raise OSError(message)

    graph = graph_of(x=("Gate", {"a": 1}))
    first = pool.submit(engine.run, graph, targets=["x"], emit=broken)
    gate.entered.acquire(timeout=SOON)
    second, _ = start(pool, engine, "second")
    wait_for_passengers(engine, 2)

    gate.open.set()

    with pytest.raises(OSError, match="no consumer"):
        first.result(SOON)
    assert second.result(SOON).outputs["end"] == (11,)
    assert len(gate.calls) == 2


def test_many_runs_at_once_end_and_agree(pool, tmp_path):
    engine = Engine(registry_of(), files_in(tmp_path))

    def graph(k):
        nodes = {"c": ("Countdown", {"start": 20 + k % 3}), "s": ("Show", {"value": Link("c", 0)})}
        return graph_of(**nodes)

    runs = [pool.submit(engine.run, graph(k)) for k in range(60)]

    texts = [run.result(30).ui["s"].values["text"] for run in runs]
    assert texts == [[str(n * (n + 1) // 2)] for n in (20, 21, 22)] * 20
    assert engine._flights._by_key == {}
