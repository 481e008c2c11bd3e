"""Ids of spans that several servers know without telling each other, and their contexts."""

from collections.abc import Generator
from contextlib import contextmanager
from hashlib import sha256

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.store.runs import Run

_PROPAGATOR = TraceContextTextMapPropagator()


class SpanIds(RandomIdGenerator):
    """Makes random ids, but for the next span inside of `use`; for one thread only."""

    def __init__(self) -> None:
        self._following: int | None = None

    @contextmanager
    def use(self, span_id: int | None) -> Generator[None]:
        """Give this id to the span that is made inside of the block; a random one if None."""
        self._following = span_id
        try:
            yield
        finally:
            self._following = None

    def generate_span_id(self) -> int:
        """Return the id of the next span; the name is OpenTelemetry's."""
        return super().generate_span_id() if self._following is None else self._following


def run_span(run: Run) -> int:
    """Return the id of a run's span, another one each time that somebody has the run run again."""
    return _id_of(run.id, run.retries)


def attempt_span(run: Run) -> int:
    """Return the id of the span of a run's last attempt."""
    return _id_of(run.id, run.retries, run.attempts)


def request_context(run: Run) -> Context:
    """Return the context that has the span of a run's request."""
    return _PROPAGATOR.extract(run.trace, Context())


def context_of(run: Run, span_id: int) -> Context:
    """Return the context that has a span of a run's trace, whoever makes that span."""
    request = get_current_span(request_context(run)).get_span_context()
    flags, state = request.trace_flags, request.trace_state
    own = SpanContext(
        request.trace_id, span_id, is_remote=True, trace_flags=flags, trace_state=state
    )
    return set_span_in_context(NonRecordingSpan(own), Context())


def _id_of(*parts: object) -> int:
    """Return an id that only these parts have; never 0, which is none."""
    digest = sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8]) or 1
