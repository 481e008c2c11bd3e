"""The terms in which the server, its gateway and the actors talk of a worker's process."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

CHUNK = 90 * 2**10
"""The most bytes in one call of an actor: Ray sends these along with the call, and puts what is
larger than 100 KiB into its object store."""
BEAT = 5.0
"""Seconds after which an actor that has no news says so, and is asked again."""
LEASE = 15.0
"""Seconds without being asked after which an actor gives up a server."""


@dataclass(frozen=True, slots=True)
class ActorOptions:
    """The actor that is wanted for a worker."""

    name: str
    gpus: float
    cpus: float
    resources: Mapping[str, float]
    runtime_env: Mapping[str, Any]
    keep: float
    """Seconds that it stays when no server is connected to it."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A server's connection to an actor."""

    session: str
    """A name of its own for each connection."""
    owner: str
    """The server: after its restart it is the same, and another one has to wait."""
    program: Mapping[str, Any]
    """The options of the worker's program; `result_cache` may be `auto`."""
    sharers: int
    """The number of actors that may share a machine and its memory."""


@dataclass(frozen=True, slots=True)
class News:
    """An actor's answer: bytes of its process, and how that ended, once they are all there."""

    data: bytes = b""
    code: int | None = None
    """The exit code of the process."""
    over: bool = False
    """True if the connection is none any more: another one has taken its place."""
