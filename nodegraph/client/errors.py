"""The errors of the client."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nodegraph.client.values import Finding, Run
from nodegraph.errors import CancellationError, NodeGraphError
from nodegraph.graph.json_values import is_list, is_object


class ClientError(NodeGraphError):
    """Base class of the client's errors."""

    code = "client_error"


class UnreachableError(ClientError):
    """No server answers, for longer than the client's patience."""

    code = "unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no server answers at {url}: {reason}.", hint="Is it up? `nodegraph serve` starts it."
        )


class TooLateError(ClientError):
    """A run was not over in time; it is still under way."""

    code = "too_late"

    def __init__(self, run_id: str, seconds: float) -> None:
        super().__init__(
            f"run {run_id!r} was not over after {seconds:g} s.",
            hint="It is still under way: wait longer, or cancel it.",
        )
        self.run_id = run_id


class RefusedError(ClientError):
    """The server refused a request; `status`, `server_code` and `problems` say why."""

    code = "refused"
    statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        super().__init__(detail, hint=str(problem.get("hint") or ""))
        self.status = status
        self.server_code = str(problem.get("code") or "")
        """The server's code of the error."""
        self.problems = _findings(problem.get("problems"))
        """Everything that is wrong with the request."""

    def __str__(self) -> str:
        parts = [super().__str__(), *(_line(finding) for finding in self.problems)]
        return "\n".join(parts)


class WorkflowRefusedError(RefusedError):
    """The workflow cannot run; `problems` names everything that is wrong with it."""

    code = "workflow_refused"


class UnauthorizedError(RefusedError):
    """The token is wrong or missing."""

    code = "unauthorized"
    statuses = (401, 403)


class NotFoundError(RefusedError):
    """There is no such run, output or file."""

    code = "not_found"
    statuses = (404,)


class ConflictError(RefusedError):
    """The run's state does not allow it, or the id is taken."""

    code = "conflict"
    statuses = (409,)


class UnavailableError(RefusedError):
    """The server is shutting down, or can not write to its disk; a later try may work."""

    code = "unavailable"
    statuses = (502, 503, 504, 507)


class RunFailedError(ClientError):
    """The run failed; `run` says how."""

    code = "run_failed"

    def __init__(self, run: Run) -> None:
        error = run.error or {}
        super().__init__(
            str(error.get("message") or "the run failed."),
            hint=str(error.get("hint") or ""),
            node_id=error.get("node_id"),
            input_name=error.get("input_name"),
            details=error.get("details"),
        )
        self.run = run


class RunCancelledError(CancellationError, ClientError):
    """Somebody cancelled the run."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.id!r} was cancelled.")
        self.run = run


def refusal(status: int, problem: object) -> RefusedError:
    """Make the error that fits a reply's status and problem."""
    found: Mapping[str, Any] = problem if is_object(problem) else {}
    if found.get("code") == "invalid_workflow":
        return WorkflowRefusedError(status, found)
    kinds: Sequence[type[RefusedError]] = (
        *(UnauthorizedError, NotFoundError),
        *(ConflictError, UnavailableError),
    )
    kind = next((kind for kind in kinds if status in kind.statuses), RefusedError)
    return kind(status, found)


def _findings(value: object) -> tuple[Finding, ...]:
    return (
        tuple(Finding.from_json(item) for item in value if is_object(item))
        if is_list(value)
        else ()
    )


def _line(finding: Finding) -> str:
    where = f"node {finding.node_id!r}: " if finding.node_id is not None else ""
    return f"- {where}{finding.message} {finding.hint}".rstrip()
