"""Runs as a whole: their events, their cancellation, what their nodes are given."""

import json
import threading
import time
from contextlib import suppress

import pytest

from nodegraph.cache.content import ContentCache
from nodegraph.definition.context import Context
from nodegraph.definition.node import node
from nodegraph.errors import InvalidWorkflowError, NodeExecutionError, RunCancelledError
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import as_dict
from nodegraph.graph.graph import Graph, Link
from nodegraph.graph.results import Ui
from nodegraph.runtime.run_environment import CancelToken, check_cancelled, run_environment
from nodegraph.workflow.read import read_prompt, to_prompt
from tests.toys import chain_of, files_in, graph_of, registry_of
from tests.work import growth


@node("Talk", category="test")
def talk(text: str, context: Context) -> str:
    context.progress(1, 2)
    context.preview(b"picture", "image/jpeg")
    context.progress_text(text)
    context.notice(text)
    return f"{context.node_id} {context.run_id} {context.wants_preview}"


@node("Facts", category="test", output_node=True)
def facts(value: object, context: Context) -> Ui:
    return Ui(values={"prompt": [context.prompt], "extra": [context.extra_pnginfo]})


@node("Slow", category="test")
def slow(steps: int, context: Context) -> int:
    for step in range(steps):
        context.check_cancelled()
        context.progress(step, steps)
        time.sleep(0.005)
    return steps


@node("Deep", category="test", output_node=True)
def deep(rounds: int) -> Ui:
    for _ in range(rounds):
        check_cancelled()
        time.sleep(0.005)
    return Ui()


@node("Attends", category="test", output_node=True)
def attends() -> Ui:
    return Ui(values={"attention": [run_environment().attention]})


@pytest.fixture
def engine(tmp_path):
    return Engine(registry_of(talk, facts, slow, deep), files_in(tmp_path))


def said(engine, graph, **more):
    """The events of a run, whatever came of it."""
    events = []
    with suppress(NodeExecutionError):
        engine.run(graph, emit=events.append, **more)
    return events


def test_events_are_numbered_and_in_order(engine):
    graph = graph_of(x=("Add", {"a": 1}), y=("Show", {"value": Link("x", 0)}))

    events = said(engine, graph, run_id="r")

    assert [event.name for event in events] == [
        "run_started",
        "run_planned",
        *["node_started", "node_finished"] * 2,
        "run_finished",
    ]
    assert [event.sequence for event in events] == list(range(1, 8))
    assert {event.run_id for event in events} == {"r"}
    assert events[1].nodes == ("x", "y")


def test_cached_nodes_are_told_before_anything_runs_with_what_they_show(engine):
    graph = graph_of(x=("Add", {"a": 1}), y=("Show", {"value": Link("x", 0)}))
    engine.run(graph)

    events = said(engine, graph)

    assert [event.name for event in events] == [
        *["run_started", "node_cached", "run_planned", "run_finished"]
    ]
    assert events[1].ui.values == {"text": ["11"]}


def test_every_event_is_json(engine):
    graph = graph_of(x=("Talk", {"text": "hi"}), y=("Show", {"value": Link("x", 0)}))

    told = [as_dict(event) for event in said(engine, graph)]

    json.dumps(told)
    talked = [each for each in told if each.get("node_id") == "x"]
    assert [each["event"] for each in talked] == [
        *["node_started", "progress", "preview", "progress_text", "notice", "node_finished"]
    ]
    assert talked[1]["value"] == 1
    assert talked[2]["image"] == "cGljdHVyZQ=="
    assert talked[3]["text"] == "hi"
    assert talked[4]["message"] == "hi"
    assert told[-2]["ui"] == {"text": [f"x {told[0]['run_id']} False"]}


def test_a_failure_is_the_last_event(engine):
    graph = graph_of(x=("Fail", {"a": 1}), y=("Show", {"value": Link("x", 0)}))

    last = said(engine, graph)[-1]

    assert last.name == "run_failed"
    assert last.error["code"] == "node_failed"
    assert last.error["node_id"] == "x"


def test_an_invalid_graph_raises_every_problem_and_says_nothing(engine):
    events = []

    with pytest.raises(InvalidWorkflowError) as caught:
        engine.run(graph_of(x=("Show", {}), y=("Shwo", {})), emit=events.append)

    assert [problem.code for problem in caught.value.problems] == [
        *["required_input_missing", "unknown_node_type"]
    ]
    assert json.dumps(caught.value.as_dict()).count('"hint"') == 3
    assert events == []


def test_a_consumer_that_raises_ends_the_run_with_its_own_exception(engine):
    def consume(event):
        names.append(event.name)
        if event.name == "progress":
            message = "the disk is full"
            raise OSError(message)

    names = []
    graph = graph_of(x=("Talk", {"text": "hi"}), y=("Show", {"value": Link("x", 0)}))

    with pytest.raises(OSError, match="the disk is full"):
        engine.run(graph, emit=consume)

    assert names[-1] == "progress"


def test_a_node_knows_its_run(engine):
    graph = graph_of(x=("Talk", {"text": "hi"}))

    result = engine.run(graph, targets=["x"], run_id="r7", previews=True)

    assert result.outputs["x"] == ("x r7 True",)
    assert result.run_id == "r7"


def test_a_node_gets_the_prompt_as_submitted_and_the_editors_part(engine):
    graph = graph_of(x=("Add", {"a": "1"}), y=("Facts", {"value": Link("x", 0)}))
    graph = Graph(graph.nodes, {"nodes": []})

    shown = engine.run(graph).ui["y"].values

    prompt = to_prompt(graph)
    assert shown == {"prompt": [prompt], "extra": [{"workflow": {"nodes": []}}]}


def test_a_node_gets_the_prompt_with_all_that_was_sent(engine):
    sent = {
        "x": {"class_type": "Add", "inputs": {"a": "1"}, "is_changed": ["x"], "_meta": {"c": 1}},
        "y": {"class_type": "Facts", "inputs": {"value": ["x", 0]}},
    }

    shown = engine.run(read_prompt(sent)).ui["y"].values

    assert json.dumps(shown["prompt"]) == json.dumps([sent])


def test_what_check_found_can_be_run(engine):
    checked = engine.check(graph_of(x=("Add", {"a": "1"})), ["x"])

    result = engine.run(checked)

    assert result.outputs == {"x": (11,)}
    assert [warning.code for warning in result.warnings] == ["converted_value"]


def test_a_cancelled_run_stops_at_the_next_step_of_its_node(engine):
    token = CancelToken()
    events = []

    def consume(event):
        events.append(event)
        if event.name == "progress" and event.value == 2:
            token.cancel()

    graph = graph_of(x=("Slow", {"steps": 1000}), y=("Show", {"value": Link("x", 0)}))
    with pytest.raises(RunCancelledError):
        engine.run(graph, emit=consume, cancel=token)

    assert [event.name for event in events[-2:]] == ["progress", "run_cancelled"]
    assert events[-2].value == 2


def test_a_cancelled_run_stops_deep_inside_of_a_node_that_has_no_context(engine):
    token = CancelToken()
    timer = threading.Timer(0.05, token.cancel)
    timer.start()
    with pytest.raises(RunCancelledError):
        engine.run(graph_of(x=("Deep", {"rounds": 10_000})), cancel=token)
    timer.join()

    check_cancelled()  # nothing is left of it in this thread
    assert engine.run(graph_of(x=("Deep", {"rounds": 2}))).executed == 1


def test_a_cancelled_run_stops_between_nodes(engine):
    token = CancelToken()
    events = []

    def consume(event):
        events.append(event.name)
        if event.name == "node_finished":
            token.cancel()

    with pytest.raises(RunCancelledError):
        engine.run(chain_of(100), emit=consume, cancel=token)

    assert events.count("node_started") == 1


def test_ten_thousand_nodes_in_a_row_run(engine):
    assert engine.run(chain_of(10_000)).executed == 10_000


def test_a_chain_twice_as_long_is_twice_the_work(tmp_path):
    files = files_in(tmp_path)

    def run(length):
        Engine(registry_of(), files).run(chain_of(length))

    assert growth(run, 200) < 2.2


def test_networks_attend_as_the_engine_is_told_and_no_result_is_taken_for_another(tmp_path):
    cache, graph = ContentCache(), graph_of(x=("Attends", {}))
    registry, files = registry_of(attends), files_in(tmp_path)
    plain, plainest = (
        Engine(registry, files, cache),
        Engine(registry, files, cache, attention="math"),
    )

    runs = [engine.run(graph) for engine in (plain, plainest, plain)]

    assert [run.ui["x"].values["attention"] for run in runs] == [["sdpa"], ["math"], ["sdpa"]]
    assert [run.executed for run in runs] == [1, 1, 0]
    assert run_environment().attention == "sdpa"


def test_an_owner_s_files_are_in_folders_of_that_name_and_all_else_is_shared(tmp_path):
    files = files_in(tmp_path)
    engine = Engine(registry_of(), files)
    graph = graph_of(x=("Add", {"a": 1}), y=("Save", {"value": Link("x", 0)}))

    plain, ann, again, bob = (
        engine.run(graph, files=files.for_owner(owner)) for owner in ("", "ann", "ann", "bob")
    )

    (saved,) = (item for items in bob.ui["y"].artifacts.values() for item in items)
    assert files.for_owner("bob").path(saved) == files.folders.output / "bob" / saved.filename
    assert files.for_owner("bob").path(saved).is_file()
    assert [run.executed for run in (plain, ann, again, bob)] == [2, 1, 0, 1]
