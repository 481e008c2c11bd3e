"""A real collector for tests: takes spans by OTLP over HTTP, as protobuf, and keeps them."""

import threading
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.observability.run_spans import RunSpans
from server.observability.span_ids import SpanIds

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}
"""A client's span, which is to be recorded."""


@dataclass(frozen=True)
class Taken:
    """A span as a collector takes it; ids are hexadecimal, times nanoseconds since 1970."""

    name: str
    id: str
    parent: str
    trace: str
    begin: int
    end: int
    kind: int
    facts: dict[str, Any]
    events: list[tuple[str, dict[str, Any]]]
    failed: bool
    message: str
    service: str = ""
    state: str = ""


@dataclass
class Collector:
    """The spans that came, in their order, by way of requests with these paths and headers."""

    url: str = ""
    spans: list[Taken] = field(default_factory=list[Taken])
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def named(self, *names: str) -> list[Taken]:
        """The spans of these names, or all, by their begin."""
        found = (span for span in self.spans if not names or span.name in names)
        return sorted(found, key=lambda span: (span.begin, -span.end))

    def one(self, name: str) -> Taken:
        """The only span of a name."""
        (found,) = self.named(name)
        return found

    def below(self, parent: Taken) -> list[Taken]:
        """The children of a span."""
        return [span for span in self.named() if span.parent == parent.id]


class Tracer:
    """The spans of the runs of one server, none of which leaves the process."""

    def __init__(self) -> None:
        ids = SpanIds()
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(id_generator=ids, shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.runs = RunSpans(provider.get_tracer("test"), ids)

    @property
    def collected(self) -> Collector:
        """The spans, as a collector has them."""
        return Collector(spans=[kept(span) for span in self._kept.get_finished_spans()])


@contextmanager
def collecting() -> Generator[Collector]:
    """A collector that listens at 127.0.0.1."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            collector.requests.append((self.path, self.headers["Content-Type"]))
            data = self.rfile.read(int(self.headers["Content-Length"]))
            collector.spans += spans_of(data)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def spans_of(data: bytes) -> Iterable[Taken]:
    """The spans of a request's body."""
    for resource in ExportTraceServiceRequest.FromString(data).resource_spans:
        service = facts_of(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield taken(span, service)


def taken(span: Span, service: str) -> Taken:
    return Taken(
        *(span.name, span.span_id.hex(), span.parent_span_id.hex(), span.trace_id.hex()),
        *(span.start_time_unix_nano, span.end_time_unix_nano, int(span.kind)),
        facts_of(span.attributes),
        [(event.name, facts_of(event.attributes)) for event in span.events],
        span.status.code == Status.STATUS_CODE_ERROR,
        span.status.message,
        service,
        span.trace_state,
    )


def kept(span: ReadableSpan) -> Taken:
    context = span.get_span_context()
    assert context
    return Taken(
        span.name,
        f"{context.span_id:016x}",
        f"{span.parent.span_id:016x}" if span.parent else "",
        f"{context.trace_id:032x}",
        *(span.start_time or 0, span.end_time or 0, span.kind.value),
        dict(span.attributes or {}),
        [(event.name, dict(event.attributes or {})) for event in span.events],
        not span.status.is_ok,
        span.status.description or "",
    )


def facts_of(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    values = {each.key: each.value for each in attributes}
    return {key: getattr(value, str(value.WhichOneof("value"))) for key, value in values.items()}
