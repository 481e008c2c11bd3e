"""The spans of runs, made of what is recorded of them, so that any worker's runs have them.

A run's span and those of its attempts have ids that follow from the run. So each is made when it is
over, with the children of it that were made before, also by a server that was killed meanwhile.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.semconv.attributes.exception_attributes import EXCEPTION_MESSAGE, EXCEPTION_TYPE
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

from server.observability.observer import ModelUse, Observer
from server.observability.span_ids import (
    SpanIds,
    attempt_span,
    context_of,
    request_context,
    run_span,
)
from server.store.runs import Run

_MS: Final = 1_000_000
"""Nanoseconds in a millisecond."""
_S: Final = 1_000_000_000
_LONGEST: Final = 1000
"""The most characters of a message."""


RUN_ID: Final = "nodegraph.run.id"
OUTCOME: Final = "nodegraph.run.outcome"
ATTEMPTS: Final = "nodegraph.run.attempts"
CLIENT: Final = "nodegraph.client"
OWNER: Final = "nodegraph.owner"
_COUNTS: Final = {
    "executed": "nodegraph.run.executed",
    "cached": "nodegraph.run.cached",
}
ATTEMPT: Final = "nodegraph.attempt"
WORKER: Final = "nodegraph.worker"
SERVER: Final = "nodegraph.server"
NODE_ID: Final = "nodegraph.node.id"
NODE_TYPE: Final = "nodegraph.node.type"
NODE_SHOWN_AS: Final = "nodegraph.node.shown_as"
MODEL_NAME: Final = "nodegraph.model.name"
MODEL_BYTES: Final = "nodegraph.model.bytes"


class _Failure(NamedTuple):
    """The failure of a run or of an attempt."""

    kind: str
    message: str
    node: str = ""
    """The node that failed; empty if none did."""


@dataclass(slots=True)
class _Node:
    """A node from its start to its end."""

    type_name: str
    shown_as: str
    begin: int
    """In nanoseconds since 1970, as all times here."""


@dataclass(slots=True)
class _Attempt:
    """An attempt at a run that goes on."""

    run: Run | None = None
    """The run as it is now; None if it has no trace, or is not known to have begun."""
    context: Context = field(default_factory=Context)
    """Has the attempt's span."""
    earliest: int | None = None
    """The time of its first event; None if it has none."""
    latest: int = 0
    """The end of the last of its spans."""
    nodes: dict[str, _Node] = field(default_factory=dict[str, _Node])
    """The nodes that compute, by id."""
    cached: list[tuple[int, Mapping[str, str]]] = field(
        default_factory=list[tuple[int, Mapping[str, str]]]
    )
    """The time and the attributes of each node whose result was there."""
    loads: list[tuple[int, int, ModelUse]] = field(default_factory=list[tuple[int, int, ModelUse]])
    """The begin and the end of each load that belongs to a node which is not over."""


class RunSpans(Observer):
    """Makes a span of each traced run, of its waits, its attempts, their nodes and their loads.

    Args:
        tracer: takes the spans.
        ids: gives them their ids.
    """

    def __init__(self, tracer: Tracer, ids: SpanIds) -> None:
        self._tracer = tracer
        self._ids = ids
        self._attempts: dict[str, _Attempt] = {}

    def run_begun(self, run: Run, /) -> None:
        """Make the span of its wait."""
        if not run.trace:
            return
        attempt = self._attempts.setdefault(run.id, _Attempt())
        attempt.run, attempt.context = run, context_of(run, attempt_span(run))
        parent = context_of(run, run_span(run))
        wait = self._begin("queue wait", parent, run.queued_ms * _MS)
        wait.end(max(run.queued_ms, run.started_ms or 0) * _MS)

    def run_reported(self, run: Run, name: str, data: Mapping[str, Any], /) -> None:
        """Follow its nodes; make the span of one that is over."""
        attempt = self._attempts.get(run.id)
        if attempt is None or attempt.run is None:
            return
        now = int(data.get("time_ms", 0)) * _MS or time.time_ns()
        attempt.earliest = min(now, attempt.earliest or now)
        attempt.latest = max(now, attempt.latest)
        if name == "node_started":
            node = _Node(data["type_name"], data["shown_as"], now)
            attempt.nodes[data["node_id"]] = node
        elif name == "node_cached":
            node = _Node(data["type_name"], data["shown_as"], now)
            attempt.cached.append((now, _describe(data["node_id"], node)))
        elif name == "node_finished" and data["node_id"] in attempt.nodes:
            node = attempt.nodes[data["node_id"]]
            self._end_node(attempt, data["node_id"], node.begin + int(data["seconds"] * _S))

    def model_used(self, use: ModelUse, /) -> None:
        """Keep a load until the node that it belongs to is over."""
        if use.run and use.seconds is not None:
            end = use.time_ms * _MS
            begin = end - int(use.seconds * _S)
            self._attempts.setdefault(use.run, _Attempt()).loads.append((begin, end, use))

    def run_given_up(self, run: Run, reason: str, /) -> None:
        """Make the span of the attempt that failed, also of one that another server made."""
        attempt = self._attempts.pop(run.id, _Attempt())
        if run.trace:
            self._end_attempt(attempt, run, time.time_ns(), _Failure("requeued", reason))

    def run_lost(self, run: Run, /) -> None:
        """Forget an attempt; the server that has the run now makes its span."""
        self._attempts.pop(run.id, None)

    def run_ended(self, run: Run, data: Mapping[str, Any], /) -> None:
        """Make the span of its last attempt and its own."""
        attempt = self._attempts.pop(run.id, None)
        if not run.trace:
            return
        failure, end = _failure_of(run), (run.finished_ms or 0) * _MS
        if attempt is not None and attempt.run is not None:
            end = self._end_attempt(attempt, run, end, failure)
        accepted = run.queued_ms if run.retries else run.created_ms
        span = self._begin("run", request_context(run), accepted * _MS, run_span(run))
        span.set_attributes(_describe_run(run, data))
        _note_failure(span, failure)
        span.end(max(accepted * _MS, end))

    def _begin(self, name: str, parent: Context, begin: int, span_id: int | None = None) -> Span:
        with self._ids.use(span_id):
            return self._tracer.start_span(name, parent, start_time=begin)

    def _end_node(
        self, attempt: _Attempt, node_id: str, end: int, failure: _Failure | None = None
    ) -> None:
        """Make the span of a node, and those of the loads that it made."""
        node = attempt.nodes.pop(node_id)
        loads = [load for load in attempt.loads if load[1] >= node.begin]
        attempt.loads = [load for load in attempt.loads if load[1] < node.begin]
        end = max(end, node.begin, *(load[1] for load in loads))
        attempt.latest = max(attempt.latest, end)
        span = self._begin(node.type_name, attempt.context, node.begin)
        span.set_attributes(_describe(node_id, node))
        self._make_loads(loads, set_span_in_context(span, attempt.context), node.begin)
        _note_failure(span, failure, end)
        span.end(end)

    def _make_loads(
        self, loads: Sequence[tuple[int, int, ModelUse]], parent: Context, earliest: int
    ) -> None:
        for begin, end, use in loads:
            span = self._begin("load model", parent, max(begin, earliest))
            span.set_attributes({MODEL_NAME: use.title, MODEL_BYTES: use.nbytes})
            span.end(end)

    def _end_attempt(self, attempt: _Attempt, run: Run, end: int, failure: _Failure | None) -> int:
        """Make the span of an attempt, after those of the nodes that it leaves; return its end."""
        made = attempt.run or run
        begin = min((made.started_ms or 0) * _MS, attempt.earliest or end)
        span_id, parent = attempt_span(made), context_of(made, run_span(made))
        attempt.context = context_of(made, span_id)
        for node_id, node in [*attempt.nodes.items()]:
            is_cause = failure is not None and failure.node in ("", node_id, node.shown_as)
            self._end_node(attempt, node_id, end, failure if is_cause else None)
        self._make_loads(attempt.loads, attempt.context, begin)
        end = max(end, begin, attempt.latest)
        span = self._begin("attempt", parent, begin, span_id)
        span.set_attributes(_describe_attempt(made))
        for moment, facts in attempt.cached:
            span.add_event("node cached", facts, moment)
        _note_failure(span, failure, end)
        span.end(end)
        return end


def _describe(node_id: str, node: _Node) -> dict[str, str]:
    """Return the attributes of a node."""
    facts = {NODE_ID: node_id, NODE_TYPE: node.type_name}
    return facts if node.shown_as == node_id else {**facts, NODE_SHOWN_AS: node.shown_as}


def _describe_attempt(run: Run) -> dict[str, str | int]:
    facts = {WORKER: run.worker, SERVER: run.server}
    known = {name: text for name, text in facts.items() if text}
    return {RUN_ID: run.id, ATTEMPT: run.attempts, **known}


def _describe_run(run: Run, data: Mapping[str, Any]) -> dict[str, str | int]:
    facts = {CLIENT: run.client, OWNER: run.owner}
    known = {name: text for name, text in facts.items() if text}
    counts = {_COUNTS[name]: data[name] for name in _COUNTS if name in data}
    return {RUN_ID: run.id, OUTCOME: run.state, ATTEMPTS: run.attempts, **known, **counts}


def _failure_of(run: Run) -> _Failure | None:
    """Return the failure that a run ended with; None if it has not failed."""
    if run.state != "failed":
        return None
    error = run.error or {}
    return _Failure(error.get("code", ""), error.get("message", ""), error.get("node_id") or "")


def _note_failure(span: Span, failure: _Failure | None, moment: int | None = None) -> None:
    """Mark a span as failed; with a moment, the exception is an event of it."""
    if failure is None:
        return
    message = failure.message[:_LONGEST]
    span.set_status(Status(StatusCode.ERROR, message))
    span.set_attribute(ERROR_TYPE, failure.kind)
    if moment is not None:
        facts = {EXCEPTION_TYPE: failure.kind, EXCEPTION_MESSAGE: message}
        span.add_event("exception", facts, moment)
