"""Replies for errors, as `application/problem+json` (RFC 9457)."""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

from nodegraph.errors import InvalidWorkflowError, NodeGraphError, ObjectStoreError
from server.api.v1.schema.models import Finding, Problem
from server.errors import ServerError

TYPE = "application/problem+json"
_BAD = "bad_request"
_KEPT = ("Allow", "WWW-Authenticate", "Retry-After")
"""Headers of HTTP errors that are kept in the reply."""


def finding(error: NodeGraphError) -> Finding:
    """Return the model of an error."""
    return Finding.model_validate(error.as_dict())


def problem(
    status: int,
    code: str,
    detail: str = "",
    hint: str = "",
    *,
    findings: Iterable[Finding] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return the reply for an error."""
    body = Problem(
        type=f"urn:nodegraph:{code}",
        title=code.replace("_", " ").capitalize(),
        status=status,
        detail=detail,
        code=code,
        hint=hint,
        problems=list(findings),
    )
    return web.Response(
        text=body.model_dump_json(), status=status, content_type=TYPE, headers=headers
    )


def problem_of_error(error: Exception) -> web.Response | None:
    """Return the reply for an exception; None if it is an internal error."""
    if isinstance(error, ValidationError):
        detail = "the request is malformed."
        return problem(422, _BAD, detail, findings=_findings(error))
    if isinstance(error, InvalidWorkflowError):
        detail = "the workflow cannot run."
        return problem(422, "invalid_workflow", detail, findings=map(finding, error.problems))
    if not isinstance(error, NodeGraphError):
        return None
    if not isinstance(error, ServerError):
        status = 503 if isinstance(error, ObjectStoreError) else 422
        return problem(status, error.code, error.message, error.hint)
    after = error.retry_after
    headers = {} if after is None else {"Retry-After": str(after)}
    return problem(error.status, error.code, error.message, error.hint, headers=headers)


def problem_of_refusal(refused: web.HTTPException) -> web.Response:
    """Return the reply for an HTTP error of aiohttp or the guard."""
    status = HTTPStatus(refused.status)
    headers = {name: refused.headers[name] for name in _KEPT if name in refused.headers}
    text = (refused.text or "").removeprefix(f"{status.value}: ").strip()
    detail = "" if text == status.phrase else text
    return problem(status.value, status.name.lower(), detail, headers=headers)


def _findings(error: ValidationError) -> list[Finding]:
    return [_finding(item["loc"], item["msg"]) for item in error.errors()]


def _finding(place: Sequence[int | str], message: str) -> Finding:
    return Finding(
        code=_BAD,
        message=message,
        hint="",
        node_id=None,
        input_name=".".join(map(str, place)),
        details={},
    )
