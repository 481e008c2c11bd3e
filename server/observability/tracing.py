"""OpenTelemetry's tracer of a server, and the way of its spans to a collector by OTLP over HTTP."""

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.semconv.attributes.service_attributes import SERVICE_NAME, SERVICE_VERSION

from server.observability.run_spans import RunSpans
from server.observability.span_ids import SpanIds

_log = logging.getLogger(__name__)
_THEIRS: Final = "opentelemetry"
"""The logger of the library."""
_NAMELESS: Final = "unknown_service"
"""The library's name of a service whose name no variable has."""
_PATH: Final = "/v1/traces"
_LAST_WORDS: Final = 2.0
"""Seconds that the last spans may take to be sent."""


class Tracing:
    """The tracer of one server; `close` sends the last spans.

    Its sampler, the headers of its requests and its other settings are those of OpenTelemetry's
    environment variables.

    Args:
        address: the collector's, with or without `/v1/traces`; as
            OpenTelemetry's variables say if empty.
        version: nodegraph's.
    """

    def __init__(self, address: str, version: str) -> None:
        ids = SpanIds()
        self._warning = _OneWarning()
        resource = Resource.create({SERVICE_VERSION: version})
        if str(resource.attributes[SERVICE_NAME]).startswith(_NAMELESS):
            resource = resource.merge(Resource({SERVICE_NAME: "nodegraph"}))
        exporter = _Exporter(address, self._warning)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=ids)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("nodegraph", version)
        self.runs = RunSpans(self.tracer, ids)
        library = logging.getLogger(_THEIRS)
        library.addHandler(self._warning)
        library.propagate = False

    async def close(self) -> None:
        """Send the spans that wait, but not for long."""
        last = threading.Thread(target=self._provider.shutdown, name="last-spans", daemon=True)
        last.start()
        await asyncio.to_thread(last.join, _LAST_WORDS)
        library = logging.getLogger(_THEIRS)
        library.removeHandler(self._warning)
        library.propagate = True


class _OneWarning(logging.Handler):
    """Passes on the first warning of the library as one of ours, and none after it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.was_given = False

    def emit(self, record: logging.LogRecord) -> None:
        """Log the first record."""
        if not self.was_given:
            self.was_given = True
            text = "traces do not reach the collector, and the server goes on without: %s"
            _log.warning(text, record.getMessage())


class _Exporter(OTLPSpanExporter):
    """Sends spans, and logs when that works once more.

    Args:
        address: as `Tracing` has it.
        warning: has told if it did not work.
    """

    def __init__(self, address: str, warning: _OneWarning) -> None:
        base = address.removesuffix("/").removesuffix(_PATH)
        super().__init__(endpoint=f"{base}{_PATH}" if address else None)
        self._warning = warning

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans; those that can not be sent are lost."""
        result = super().export(spans)
        if result is SpanExportResult.SUCCESS and self._warning.was_given:
            self._warning.was_given = False
            _log.info("traces reach the collector again")
        return result
