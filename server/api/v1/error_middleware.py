"""The error middleware of `/v1`: every error becomes a problem reply (RFC 9457)."""

import logging
from http import HTTPStatus

from aiohttp import web

from server.api.v1.schema.paths import DOCUMENT, ROOT
from server.web.security import SCORE, Handler

_log = logging.getLogger(__name__)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what a handler raises into a reply; the modules for this are imported only then."""
    if not is_ours(request.path):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < HTTPStatus.BAD_REQUEST:
            raise
        return _refusal(refused)
    except Exception as error:  # noqa: BLE001 - every error needs a reply
        return _failure(request, error)


def is_ours(path: str) -> bool:
    """Return True if a path belongs to `/v1`, or has errors like it."""
    return path in (ROOT, DOCUMENT, SCORE) or path.startswith(f"{ROOT}/")


def _refusal(refused: web.HTTPException) -> web.Response:
    from server.api.v1.schema.problems import problem_of_refusal

    return problem_of_refusal(refused)


def _failure(request: web.Request, error: Exception) -> web.Response:
    """Return the reply to an error; of an internal error it has no details."""
    from server.api.v1.schema.problems import problem, problem_of_error

    reply = problem_of_error(error)
    if reply is None:
        where = (request.method, request.path)
        _log.error("%s %s failed with an unexpected error", *where, exc_info=error)
        return problem(500, "internal_error", "an internal error of the server.", "See its log.")
    return reply
