"""The spans of runs, made of what is recorded of them, by real stores and scripted workers."""

import asyncio
import time

import pytest

from server.errors import WorkerLostError
from server.observability.observer import ModelUse
from server.workers.worker import Report
from tests.server.collector import SAMPLED, SPAN, TRACE, Tracer
from tests.server.postgres import queue_in
from tests.server.scheduling.test_dispatcher import DONE, House, Scripted


@pytest.fixture
def path(tmp_path):
    return queue_in(tmp_path)


def now():
    return time.time_ns() // 1_000_000


def about(node, **more):
    return {"node_id": node, "type_name": f"Type{node}", "shown_as": node, "time_ms": now(), **more}


class Telling(Scripted):
    """A worker whose node 1 is cached and whose node 2 loads a model, which ends as it is told."""

    house: House

    async def run(self, order):
        self.begun.append(order.run)
        yield [Report("node_cached", about("1")), Report("node_started", about("2"))]
        await asyncio.sleep(0.02)
        use = ModelUse(order.run, "U-Net of 'a'", 1000, 0.01, now())
        self.house.dispatcher.note_model(use)
        if self.killers.get(order.run, 0):
            self.killers[order.run] -= 1
            reason = "SIGKILL"
            raise WorkerLostError(reason, together=1)
        if "waits" in order.work.prompt:
            while order.run not in self.cancelled:  # noqa: ASYNC110 - as a node looks
                await asyncio.sleep(0.002)
            yield [Report("done", {"state": "cancelled"})]
            return
        if "fails" in order.work.prompt:
            error = {"code": "node_failed", "message": "it broke", "node_id": "2"}
            yield [Report("done", {"state": "failed", "error": error})]
            return
        yield [Report("node_finished", about("2", seconds=0.015)), DONE]


def house_of(path, tracer, deaths=0):
    worker = Telling("one")
    worker.killers["a"] = deaths
    worker.house = House(path, worker, observers=[tracer.runs])
    return worker.house


def traced(path, prompt, trace=SAMPLED, deaths=0):
    """The spans of one run."""
    tracer = Tracer()

    async def scenario():
        async with house_of(path, tracer, deaths) as house:
            await house.submit("a", prompt=prompt, trace=trace, client="me", owner="ann")
            await house.over()

    asyncio.run(scenario())
    return tracer.collected


def assert_nested(collected, root):
    for child in collected.below(root):
        assert root.begin <= child.begin <= child.end <= root.end, (root.name, child.name)
        assert child.trace == root.trace
        assert_nested(collected, child)


def test_a_run_has_spans_of_its_wait_its_attempt_its_nodes_and_their_loads(path):
    found = traced(path, {"steps": 1})

    run, attempt, node = found.one("run"), found.one("attempt"), found.one("Type2")
    (load,) = found.below(node)
    assert [span.name for span in found.below(run)] == ["queue wait", "attempt"]
    assert [span.name for span in found.below(attempt)] == ["Type2"]
    assert (run.parent, run.trace, load.name) == (SPAN, TRACE, "load model")
    assert len(found.spans) == 5
    assert_nested(found, run)
    assert node.end - node.begin >= 15_000_000
    assert load.end - load.begin == 10_000_000
    assert run.facts == {
        "nodegraph.run.id": "a",
        "nodegraph.run.outcome": "succeeded",
        "nodegraph.run.attempts": 1,
        "nodegraph.run.executed": 1,
        "nodegraph.run.cached": 0,
        "nodegraph.client": "me",
        "nodegraph.owner": "ann",
    }
    assert attempt.facts["nodegraph.worker"] == "one"
    cached = {"nodegraph.node.id": "1", "nodegraph.node.type": "Type1"}
    assert attempt.events == [("node cached", cached)]
    assert load.facts == {
        "nodegraph.model.name": "U-Net of 'a'",
        "nodegraph.model.bytes": 1000,
    }
    assert not any(span.failed for span in found.spans)


def test_an_attempt_whose_worker_died_is_an_error_and_another_follows(path):
    found = traced(path, {"steps": 1}, deaths=1)

    first, second = found.named("attempt")
    assert [span.name for span in found.below(found.one("run"))] == [
        *("queue wait", "attempt", "queue wait", "attempt")
    ]
    assert (first.failed, first.message) == (True, "SIGKILL")
    gone, whole = found.named("Type2")
    assert (gone.parent, gone.failed) == (first.id, True)
    assert (whole.parent, whole.failed) == (second.id, False)
    assert second.facts["nodegraph.attempt"] == 2
    assert not second.failed
    assert not found.one("run").failed


def test_the_error_of_a_run_is_on_its_node_its_attempt_and_itself(path):
    found = traced(path, {"fails": 1})

    exception = {"exception.type": "node_failed", "exception.message": "it broke"}
    for name in ("Type2", "attempt", "run"):
        span = found.one(name)
        assert (span.failed, span.message) == (True, "it broke")
        assert span.facts["error.type"] == "node_failed"
        assert (("exception", exception) in span.events) == (name != "run")


@pytest.mark.parametrize("trace", [{}, {"traceparent": f"00-{TRACE}-{SPAN}-00"}])
def test_a_run_that_is_not_traced_or_not_sampled_has_no_spans(path, trace):
    assert traced(path, {"fails": 1}, trace).spans == []


def test_a_server_that_takes_over_continues_the_trace(path):
    before, after = Tracer(), Tracer()

    async def scenario():
        async with house_of(path, before) as house:
            await house.submit("a", prompt={"waits": 1}, trace=SAMPLED)
            await house.busy()
            await asyncio.sleep(0.05)
        async with house_of(path, after) as house:
            await asyncio.sleep(0.05)
            await house.dispatcher.cancel("a")
            await house.over()

    asyncio.run(scenario())
    found = after.collected
    first, second = found.named("attempt")
    run = found.one("run")
    assert before.collected.one("queue wait").parent == run.id == first.parent == second.parent
    assert (first.failed, first.message) == (True, "the server was stopped")
    assert first.facts["nodegraph.worker"] == "one"
    assert (run.parent, run.facts["nodegraph.run.outcome"]) == (SPAN, "cancelled")


def test_a_run_that_is_tried_once_more_has_one_more_span(path):
    tracer = Tracer()

    async def scenario():
        async with house_of(path, tracer) as house:
            await house.submit("a", prompt={"fails": 1}, trace=SAMPLED)
            await house.over()
            await house.dispatcher.retry("a")
            await house.over()

    asyncio.run(scenario())
    found = tracer.collected
    first, second = found.named("run")
    assert first.id != second.id
    assert first.parent == second.parent == SPAN
    assert second.begin >= first.end
    for run in (first, second):
        assert [span.name for span in found.below(run)] == ["queue wait", "attempt"]
        assert_nested(found, run)
