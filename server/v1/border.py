"""Everything that goes wrong below `/v1` is told as a problem."""

import logging
from http import HTTPStatus

from aiohttp import web

from server.security import Handler
from server.v1.paths import DOCUMENT, ROOT

_log = logging.getLogger(__name__)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what a handler raises into a reply; what replies are made of is imported then."""
    if not is_ours(request.path):
        return await handler(request)
    try:
        return await handler(request)
    except web.HTTPException as refused:
        if refused.status < HTTPStatus.BAD_REQUEST:
            raise
        return _refused(refused)
    except Exception as error:  # noqa: BLE001 - a reply has to come, whatever it was
        return _told(request, error)


def is_ours(path: str) -> bool:
    """Whether a path belongs to this API."""
    return path in (ROOT, DOCUMENT) or path.startswith(f"{ROOT}/")


def _refused(refused: web.HTTPException) -> web.Response:
    from server.v1.problems import refused_as

    return refused_as(refused)


def _told(request: web.Request, error: Exception) -> web.Response:
    """What a client may know of it: nothing of mistakes of ours but that there was one."""
    from server.v1.problems import problem, told

    reply = told(error)
    if reply is None:
        where = (request.method, request.path)
        _log.error("%s %s failed in a way that nobody foresaw", *where, exc_info=error)
        return problem(500, "internal_error", "the server made a mistake.", "Its log says more.")
    return reply
