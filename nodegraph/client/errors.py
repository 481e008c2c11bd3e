"""What can go wrong between a client and a server."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nodegraph.client.values import Finding, Run
from nodegraph.errors import NodeGraphError
from nodegraph.plain import is_list, is_object


class ClientError(NodeGraphError):
    """Base class."""

    code = "client_error"


class UnreachableError(ClientError):
    """There is no server, or none for as long as the client has patience."""

    code = "unreachable"

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"no server answers at {url}: {reason}.", hint="Is it up? `nodegraph serve` starts it."
        )


class TooLateError(ClientError):
    """A run was not over in time; it goes on."""

    code = "too_late"

    def __init__(self, run_id: str, seconds: float) -> None:
        super().__init__(
            f"run {run_id!r} was not over after {seconds:g} s.", hint="It goes on: wait, or cancel."
        )
        self.run_id = run_id


class RefusedError(ClientError):
    """The server said no; `status`, `server_code` and `problems` say why."""

    code = "refused"
    statuses: ClassVar[tuple[int, ...]] = ()

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        detail = str(problem.get("detail") or problem.get("title") or f"HTTP {status}")
        super().__init__(detail, hint=str(problem.get("hint") or ""))
        self.status = status
        self.server_code = str(problem.get("code") or "")
        """Which error it is, as the server names it."""
        self.problems = _findings(problem.get("problems"))
        """All that is wrong."""

    def __str__(self) -> str:
        parts = [super().__str__(), *(_line(finding) for finding in self.problems)]
        return "\n".join(parts)


class WorkflowRefusedError(RefusedError):
    """The workflow cannot run; `problems` names everything that is wrong with it."""

    code = "workflow_refused"


class UnauthorizedError(RefusedError):
    """The token is wrong, or there is none."""

    code = "unauthorized"
    statuses = (401, 403)


class NotFoundError(RefusedError):
    """There is no such run, output or file."""

    code = "not_found"
    statuses = (404,)


class ConflictError(RefusedError):
    """It cannot be done in the state that the run is in, or the id is taken."""

    code = "conflict"
    statuses = (409,)


class UnavailableError(RefusedError):
    """The server is shutting down, or its disk does not work; later it may be possible."""

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


class RunCancelledError(ClientError):
    """Somebody cancelled the run."""

    code = "run_cancelled"

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.id!r} was cancelled.")
        self.run = run


def refusal(status: int, problem: object) -> RefusedError:
    """The error that a reply is."""
    said: Mapping[str, Any] = problem if is_object(problem) else {}
    if said.get("code") == "invalid_workflow":
        return WorkflowRefusedError(status, said)
    kinds: Sequence[type[RefusedError]] = (
        *(UnauthorizedError, NotFoundError),
        *(ConflictError, UnavailableError),
    )
    kind = next((kind for kind in kinds if status in kind.statuses), RefusedError)
    return kind(status, said)


def _findings(value: object) -> tuple[Finding, ...]:
    return tuple(Finding.of(item) for item in value if is_object(item)) if is_list(value) else ()


def _line(finding: Finding) -> str:
    where = f"node {finding.node_id!r}: " if finding.node_id is not None else ""
    return f"- {where}{finding.message} {finding.hint}".rstrip()
