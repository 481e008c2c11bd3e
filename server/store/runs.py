"""Runs and their parts, as the store keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

State: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The work of a run: its graph and targets."""

    prompt: Mapping[str, Any]
    """The graph in API format."""
    targets: Sequence[str]
    """The ids of the nodes whose results are wanted."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Further data from the client: `extra_pnginfo` and others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to put into the queue."""

    id: str
    work: Work
    client: str = ""
    owner: str = ""
    """The name of the token that it was submitted with."""
    priority: int = 0
    """Higher priorities run earlier."""
    number: float | None = None
    """The place among the client's runs, lowest first; the next number if None."""
    front: bool = False
    """True to put it before all waiting runs of the client."""
    idempotency_key: str | None = None
    digest: str = ""
    """Hash of the request: a key or an id may be sent again only with the same request."""
    webhook: str = ""
    servers: Sequence[str] = ()
    """The ComfyUI servers that may run it; our own workers run it if there are none."""
    why: str = ""
    """The reason for that; empty if there is no ComfyUI server."""
    models: Mapping[str, int] = field(default_factory=dict[str, int])
    """The model files that it reads, and their bytes; none where only one worker could run it."""
    trace: Mapping[str, str] = field(default_factory=dict[str, str])
    """The headers of W3C's Trace Context that name the span of its request; none if not traced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run in the store, without its graph."""

    seq: int
    """Number in the order of acceptance."""
    id: str
    client: str
    owner: str
    priority: int
    number: float
    state: State
    attempts: int
    """Number of times that it was started."""
    deaths: int
    """Number of workers that died while they computed only this run."""
    suspect: bool
    """True if a worker died while it computed this run; it runs alone from then on."""
    worker: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    error: Mapping[str, Any] | None
    webhook: str
    servers: tuple[str, ...] = ()
    """The ComfyUI servers that may run it; our own workers run it if there are none."""
    why: str = ""
    """The reason for that; empty if there is no ComfyUI server."""
    retries: int = 0
    """Number of times that somebody had it run again."""
    models: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
    """As `NewRun` has them."""
    server: str = ""
    """The server process that computes it, or did last; empty if none has a name."""
    cancel: bool = False
    """True if somebody asked to cancel it while another process computed it."""
    trace: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """As `NewRun` has it."""
    queued_ms: int = 0
    """The time when it began to wait: when it was accepted, or put into the queue once more."""

    @property
    def attempt(self) -> "Attempt":
        """The attempt that is under way."""
        return Attempt(self.server, self.attempts)

    @property
    def is_over(self) -> bool:
        """True if the run succeeded, failed or was cancelled."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """A filter of runs; by default it selects all."""

    states: Sequence[State] = ()
    """The states to select; all if empty."""
    owner: str | None = None
    """The owner to select; all owners if None."""
    client: str | None = None
    """The client to select; all clients if None."""
    before: int | None = None
    """Accepted before the run with this `seq`."""
    begun: bool = False
    """True for only those that have been started."""


ALL_RUNS = RunFilter()
"""Selects all runs."""


@dataclass(frozen=True, slots=True)
class Milestone:
    """An event that is kept in the store."""

    id: int
    """Number over all runs."""
    run: str
    sequence: int
    """Number within the run, from 1, over all its attempts."""
    name: str
    time_ms: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The run that a request put into the queue, or had put there before."""

    run: Run
    event: Milestone | None
    """The event that it is queued; None if its idempotency key or id was there already."""
    nbytes: int = 0
    """The bytes of its graph and of what belongs to it, as JSON; 0 if it was there already."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run."""

    state: State
    event: str
    """The last event's name."""
    data: Mapping[str, Any]
    """The data of that event; its `error` is the run's."""


class Attempt(NamedTuple):
    """One attempt at a run: what it reports counts only as long as it is the current one."""

    server: str
    """The server process that makes it."""
    number: int
    """The run's `attempts`."""


class File(NamedTuple):
    """A file that a node of a run saves; the node's first is at position 0."""

    run: str
    node: str
    position: int
