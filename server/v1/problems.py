"""Errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Iterable

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from server.errors import ServerError
from server.v1.models import Finding, Problem

TYPE = "application/problem+json"


def finding(error: NodeGraphError) -> Finding:
    """An error as data."""
    return Finding.model_validate(error.as_dict())


def problem(
    status: int, code: str, title: str, detail: str = "", findings: Iterable[Finding] = ()
) -> web.Response:
    """The reply that tells it."""
    body = Problem(
        type=f"urn:nodegraph:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        problems=list(findings),
    )
    return web.Response(text=body.model_dump_json(), status=status, content_type=TYPE)


def told(error: NodeGraphError) -> web.Response:
    """The reply to a request that failed with it."""
    if isinstance(error, InvalidWorkflowError):
        title = "The workflow is invalid."
        return problem(422, error.code, title, findings=map(finding, error.problems))
    status = error.status if isinstance(error, ServerError) else 422
    return problem(status, error.code, error.message, error.hint)
