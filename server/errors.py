"""Errors of the server itself, each with its HTTP status."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from nodegraph.errors import NodeGraphError, nearest, short_repr

_FEW = 8
"""The most names that a hint lists."""


class ServerError(NodeGraphError):
    """Base class of the server's errors."""

    status: ClassVar[int] = 500
    retry_after: ClassVar[int | None] = None
    """Seconds after which the same request may succeed; None if nobody knows."""


class StorageError(ServerError):
    """A change could not be written to the store, and was not made."""

    code = "storage_failed"
    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the queue could not be written: {reason}.",
            hint="Nothing was changed. Try again once the disk or the database works.",
        )


class StorageFullError(StorageError):
    """The disk is full."""

    code = "storage_full"
    status = 507


class UnreadableStoreError(ServerError):
    """The store cannot be read."""

    code = "storage_unreadable"
    status = 503

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(
            f"the queue {path} could not be read: {reason}.",
            hint="Check the disk or the database; if a file is damaged, restore a backup of it.",
        )


class DamagedRunError(ServerError):
    """The stored graph of a run is damaged: its checksum does not match."""

    code = "damaged_run"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the graph of run {short_repr(run_id)} was damaged on the disk.",
            hint="Submit it again, and check the disk.",
        )


class DamagedStoreError(ServerError):
    """The database of the queue is damaged."""

    code = "damaged_store"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the queue {path} is damaged: {reason}.",
            hint="Restore a backup of it, or move it away to begin with an empty queue.",
        )


class NewerStoreError(ServerError):
    """The queue was written by a later version."""

    code = "newer_store"

    def __init__(self, path: Path | str, found: int, known: int) -> None:
        super().__init__(
            f"the queue {path} has version {found}; this program reads up to version {known}.",
            hint="Use the version of nodegraph that wrote it, or a newer one.",
        )


class DataFolderInUseError(ServerError):
    """Another server uses the data folder."""

    code = "data_folder_in_use"

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"the data folder {folder} is in use by process {holder}.",
            hint="Stop that server, or give this one a --data-dir of its own.",
        )


class UnknownRunError(ServerError):
    """There is no such run."""

    code = "unknown_run"
    status = 404

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is no run {short_repr(run_id)}.", hint="GET /v1/runs lists them.")


class RunExistsError(ServerError):
    """The id of a new run is taken."""

    code = "run_exists"
    status = 409

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is a run {short_repr(run_id)} already.", hint="Ids are used once.")


class NoJsonError(ServerError):
    """A request has a value that Python's reader accepts, but JSON does not have."""

    code = "no_json"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "there is a number in the request that JSON does not have.",
            hint="NaN and infinities have no place in a workflow.",
        )


class KeyReusedError(ServerError):
    """An idempotency key was sent again with a different request."""

    code = "idempotency_key_reused"
    status = 422

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the Idempotency-Key {short_repr(key)} was used for another request.",
            hint="Use a new key for a new request.",
        )


class RunStateError(ServerError):
    """An action is not possible in the state that a run is in."""

    code = "wrong_state"
    status = 409

    def __init__(self, run_id: str, state: str, wanted: str, done: str = "retried") -> None:
        super().__init__(f"run {short_repr(run_id)} is {state}; only {wanted} can be {done}.")


class LostAttemptError(ServerError):
    """A server reports on a run that it does not compute any more: another one took it over."""

    code = "lost_attempt"
    status = 409

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"run {short_repr(run_id)} is not this server's attempt any more; nothing was changed."
        )


class UnknownOutputError(ServerError):
    """A run has no such output, or its file is gone."""

    code = "unknown_output"
    status = 404

    def __init__(self, run_id: str, number: str, *, gone: bool = False) -> None:
        state = "is gone" if gone else "is not there"
        super().__init__(
            f"output {short_repr(number)} of run {short_repr(run_id)} {state}.",
            hint="Somebody removed the file." if gone else "/v1/runs/{run}/outputs lists them.",
        )


class UnknownNameError(ServerError):
    """There is no node type or folder of that name."""

    code = "unknown_name"
    status = 404

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)


class WorkerLostError(ServerError):
    """The process that computed a run died."""

    code = "worker_lost"

    def __init__(self, reason: str, together: int = 1) -> None:
        super().__init__(f"the worker process died: {reason}.")
        self.reason = reason
        self.together = together
        """Number of runs that it was computing; 0 if it died before it got this one."""


class RunParkedError(ServerError):
    """A run is not tried again, because it killed its worker too often."""

    code = "run_parked"

    def __init__(self, deaths: int, attempts: int, reason: str) -> None:
        super().__init__(
            f"it ran {attempts} times, and {deaths} times the worker process died while it ran"
            f" nothing else; the last time: {reason}.",
            hint="Often that is too little memory: try a smaller size. Retrying is up to you.",
        )


class WebhookRefusedError(ServerError):
    """A webhook's URL is not allowed."""

    code = "webhook_refused"
    status = 422

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"the webhook {short_repr(url)} is refused: {reason}.",
            hint="The server's operator allows hosts with webhook_hosts or --webhook-host.",
        )


class DrainingError(ServerError):
    """The server is shutting down and accepts no more runs."""

    code = "draining"
    status = 503

    def __init__(self) -> None:
        super().__init__("the server is shutting down.", hint="Submit it once it is back.")


class QueueFullError(ServerError):
    """So many runs wait that no further one is taken."""

    code = "queue_full"
    status = 429
    retry_after = 5

    def __init__(self, waiting: int) -> None:
        super().__init__(
            f"{waiting} runs wait already.",
            hint="Nothing was queued. Try again later, or raise score_waiting in the settings.",
        )


class UnknownWorkflowError(ServerError):
    """No workflow of the server has that name."""

    code = "unknown_workflow"
    status = 404

    def __init__(self, name: str, known: Sequence[str]) -> None:
        few = ", ".join(known[:_FEW]) + (", …" if known[_FEW:] else "")
        there = f"There are: {few}." if known else "There are none; see workflows_dir."
        super().__init__(
            f"the server has no workflow {short_repr(name)}.", hint=nearest(name, known) or there
        )


class UnreadablePictureError(ServerError):
    """An image cannot be decoded."""

    code = "unreadable_picture"
    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(f"this image cannot be used: {reason}.")
