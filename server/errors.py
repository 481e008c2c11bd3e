"""What the server itself refuses or fails at; each knows its HTTP status."""

from pathlib import Path
from typing import ClassVar

from nodegraph.errors import NodeGraphError, shown


class ServerError(NodeGraphError):
    """Base class."""

    status: ClassVar[int] = 500


class StorageError(ServerError):
    """What was asked for could not be written down, and therefore did not happen."""

    code = "storage_failed"
    status = 503

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the queue could not be written: {reason}.",
            hint="Nothing was accepted. Try again once the disk works.",
        )


class StorageFullError(StorageError):
    """There is no room on the disk."""

    code = "storage_full"
    status = 507


class UnreadableStoreError(ServerError):
    """What is written in the queue can not be read."""

    code = "storage_unreadable"
    status = 503

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the queue {path} could not be read: {reason}.",
            hint="Look after the disk; if the file is damaged, put a copy of it in its place.",
        )


class DamagedRunError(ServerError):
    """A run's graph is not what it was written as."""

    code = "damaged_run"

    def __init__(self, run_id: str) -> None:
        super().__init__(
            f"the graph of run {shown(run_id)} was damaged on the disk.",
            hint="Submit it again, and look after the disk.",
        )


class DamagedStoreError(ServerError):
    """The queue's database is not what it was written as."""

    code = "damaged_store"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"the queue {path} is damaged: {reason}.",
            hint="Put a copy of it in its place, or move it away to begin with an empty queue.",
        )


class NewerStoreError(ServerError):
    """The queue was written by a later version."""

    code = "newer_store"

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"the queue {path} is of version {found}; this program knows {known}.",
            hint="Use the nodegraph that wrote it, or a newer one.",
        )


class DataFolderInUseError(ServerError):
    """Another server works in the data folder."""

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
        super().__init__(f"there is no run {shown(run_id)}.", hint="GET /v1/runs lists them.")


class RunExistsError(ServerError):
    """A run with the id that was asked for exists."""

    code = "run_exists"
    status = 409

    def __init__(self, run_id: str) -> None:
        super().__init__(f"there is a run {shown(run_id)} already.", hint="Ids are used once.")


class NoJsonError(ServerError):
    """There is something in a request that Python reads, and that is no JSON."""

    code = "no_json"
    status = 400

    def __init__(self) -> None:
        super().__init__(
            "there is a number in the request that JSON does not have.",
            hint="NaN and infinities have no place in a workflow.",
        )


class KeyReusedError(ServerError):
    """An idempotency key comes with another request than the first time."""

    code = "idempotency_key_reused"
    status = 422

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the Idempotency-Key {shown(key)} was used for another request.",
            hint="Use a new key for a new request.",
        )


class RunStateError(ServerError):
    """What is asked of a run cannot be done in the state it is in."""

    code = "wrong_state"
    status = 409

    def __init__(self, run_id: str, state: str, wanted: str, done: str = "retried") -> None:
        super().__init__(f"run {shown(run_id)} is {state}; only {wanted} can be {done}.")


class UnknownOutputError(ServerError):
    """A run did not make that file, or it is gone."""

    code = "unknown_output"
    status = 404

    def __init__(self, run_id: str, number: str, *, gone: bool = False) -> None:
        state = "is gone" if gone else "is not there"
        super().__init__(
            f"output {shown(number)} of run {shown(run_id)} {state}.",
            hint="Somebody removed the file." if gone else "/v1/runs/{run}/outputs lists them.",
        )


class UnknownNameError(ServerError):
    """Nothing is called that."""

    code = "unknown_name"
    status = 404

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)


class WorkerLostError(ServerError):
    """The process that ran something is gone."""

    code = "worker_lost"

    def __init__(self, reason: str, together: int = 1) -> None:
        super().__init__(f"the worker process died: {reason}.")
        self.reason = reason
        self.together = together
        """How many runs it had; 0 if it was dead before it got this one."""


class RunParkedError(ServerError):
    """A run killed its worker too often and is not tried again."""

    code = "run_parked"

    def __init__(self, attempts: int, reason: str) -> None:
        super().__init__(
            f"the worker process died each of the {attempts} times it ran this: {reason}.",
            hint="Often that is too little memory: try a smaller size. Retrying is up to you.",
        )


class WebhookRefusedError(ServerError):
    """Nothing may be sent to a URL."""

    code = "webhook_refused"
    status = 422

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"the webhook {shown(url)} is refused: {reason}.",
            hint="Who runs the server names hosts in webhook_hosts or with --webhook-host.",
        )


class DrainingError(ServerError):
    """The server is shutting down and takes nothing new."""

    code = "draining"
    status = 503

    def __init__(self) -> None:
        super().__init__("the server is shutting down.", hint="Submit it once it is back.")


class UnreadablePictureError(ServerError):
    """A picture cannot be decoded."""

    code = "unreadable_picture"
    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(f"this picture cannot be used: {reason}.")
