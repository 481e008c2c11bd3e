"""The Python client of a nodegraph server: `Client`, and `AsyncClient` for asyncio.

Both survive broken connections and restarts of the server: a request is repeated, and the events
of a run go on where they broke off.
"""

from nodegraph.client.asynchronous import AsyncClient
from nodegraph.client.errors import (
    ClientError,
    ConflictError,
    NotFoundError,
    RefusedError,
    RunCancelledError,
    RunFailedError,
    TooLateError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    WorkflowRefusedError,
)
from nodegraph.client.synchronous import Client
from nodegraph.client.values import Finding, Output, Run, RunEvent

__all__ = [
    "AsyncClient",
    "Client",
    "ClientError",
    "ConflictError",
    "Finding",
    "NotFoundError",
    "Output",
    "RefusedError",
    "Run",
    "RunCancelledError",
    "RunEvent",
    "RunFailedError",
    "TooLateError",
    "UnauthorizedError",
    "UnavailableError",
    "UnreachableError",
    "WorkflowRefusedError",
]
