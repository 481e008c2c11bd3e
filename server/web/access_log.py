"""The access log: one record at debug level for each request, without its secrets."""

import logging
import re
from http import HTTPStatus
from typing import Any

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger

from server.web.services import known_owner, noted_run

LOGGER = logging.getLogger("server.access")
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
"""The form of `traceparent` by W3C's Trace Context; anything else might be a secret."""


class AccessLog(AbstractAccessLogger):
    """Logs each request: a line for people, and its facts as `details` for JSON.

    The query is left out, because it may hold a token, and so are all headers but `traceparent`.
    """

    @property
    def enabled(self) -> bool:
        """True if debug records are logged; the name is aiohttp's."""
        return self.logger.isEnabledFor(logging.DEBUG)

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        """Write the record of one request."""
        run = noted_run(request)
        facts = _facts(request, response, time)
        self.logger.debug(
            "%s %s %s: %d in %.1f ms, %d bytes",
            *(facts["remote"], facts["method"], facts["path"]),
            *(facts["status"], facts["ms"], facts["bytes"]),
            extra={"details": facts, **({"run": run} if run else {})},
        )


def _facts(
    request: web.BaseRequest, response: web.StreamResponse, seconds: float
) -> dict[str, Any]:
    """Return what is known of a request; `owner`, `route` and `traceparent` only if it has them."""
    trace = request.headers.get("traceparent", "")
    optional = {
        "route": _route(request),
        "owner": known_owner(request),
        "traceparent": trace if _TRACE.fullmatch(trace) else "",
    }
    return {
        "remote": request.remote,
        "method": request.method,
        "path": request.rel_url.raw_path,
        "status": response.status,
        "ms": round(seconds * 1000, 1),
        "bytes": _body_bytes(request, response),
        **{name: text for name, text in optional.items() if text},
    }


def _route(request: web.BaseRequest) -> str:
    """Return the path of the route that answered, such as `/v1/runs/{run}`; empty if none did."""
    if not isinstance(request, web.Request):  # a request that is not HTTP
        return ""
    resource = request.match_info.route.resource
    return resource.canonical if resource else ""


def _body_bytes(request: web.BaseRequest, response: web.StreamResponse) -> int:
    """Return the bytes of a reply's body; of a stream with those of its headers."""
    if request.method == hdrs.METH_HEAD or response.status == HTTPStatus.NOT_MODIFIED:
        return 0
    known = response.content_length
    return response.body_length if known is None else known
