"""The Python client of a nodegraph server: `Client`, and `AsyncClient` for asyncio.

Both survive broken connections and servers that are started again: what is asked is asked again,
and a run's events go on where they broke off.
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
