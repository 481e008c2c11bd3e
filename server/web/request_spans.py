"""The middleware that makes a span of each request, by OpenTelemetry's conventions for HTTP."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware
from opentelemetry.context import Context
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.web.security import Handler
from server.web.services import noted_run, set_trace

_UNTRACED: Final = ("/healthz", "/readyz", "/metrics")
"""Paths that machines ask for again and again."""
_OTHER: Final = "_OTHER"
_PROPAGATOR = TraceContextTextMapPropagator()


def trace_requests(tracer: Tracer) -> Middleware:
    """Return the middleware; the span of a request follows the one that its `traceparent` names.

    The query and other headers than the client's name are left out, as in the access log.

    Args:
        tracer: takes the spans.
    """

    @web.middleware
    async def trace_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _UNTRACED:
            return await handler(request)
        parent = _PROPAGATOR.extract(request.headers, Context())
        facts = dict(_describe(request))
        span = tracer.start_span(_name_of(request), parent, SpanKind.SERVER, facts)
        headers: dict[str, str] = {}
        _PROPAGATOR.inject(headers, set_span_in_context(span, Context()))
        set_trace(request, headers)
        try:
            response = await handler(request)
        except web.HTTPException as reply:
            _note_status(span, reply.status)
            raise
        except ConnectionError:  # the client is gone
            raise
        except Exception as error:
            _note_status(span, HTTPStatus.INTERNAL_SERVER_ERROR)
            span.record_exception(error)
            raise
        else:
            _note_status(span, response.status)
            return response
        finally:
            if run := noted_run(request):
                span.set_attribute("nodegraph.run.id", run)
            span.end()

    return trace_request


def _name_of(request: web.Request) -> str:
    method, route = _method_of(request), _route_of(request)
    return f"{'HTTP' if method == _OTHER else method} {route}".rstrip()


def _method_of(request: web.Request) -> str:
    return request.method if request.method in hdrs.METH_ALL else _OTHER


def _route_of(request: web.Request) -> str:
    """Return the path of the route that answers, such as `/v1/runs/{run}`; empty if none does."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _describe(request: web.Request) -> Iterator[tuple[str, str]]:
    """Yield the attributes that a request has before it is answered."""
    yield http_attributes.HTTP_REQUEST_METHOD, _method_of(request)
    yield url_attributes.URL_SCHEME, request.scheme
    yield url_attributes.URL_PATH, request.rel_url.raw_path
    if route := _route_of(request):
        yield http_attributes.HTTP_ROUTE, route
    if agent := request.headers.get(hdrs.USER_AGENT):
        yield user_agent_attributes.USER_AGENT_ORIGINAL, agent


def _note_status(span: Span, status: int) -> None:
    """Note the status of a reply; one of the server's own faults is an error."""
    span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, int(status))
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        span.set_attribute(error_attributes.ERROR_TYPE, str(int(status)))
        span.set_status(Status(StatusCode.ERROR))
