"""Runs as the queue keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

State: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run computes."""

    prompt: Mapping[str, Any]
    """The graph in API format."""
    targets: Sequence[str]
    """The nodes whose results are wanted."""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What the client sent along: `extra_pnginfo` and whatever else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What is asked for."""

    id: str
    work: Work
    client: str = ""
    owner: str = ""
    """The name of the token that it came with."""
    priority: int = 0
    """Higher runs earlier."""
    number: float | None = None
    """The place among the client's own: lower runs earlier; the next number if None."""
    front: bool = False
    """Before all of the client's that wait."""
    idempotency_key: str | None = None
    digest: str = ""
    """Of the request, to tell whether a key or an id comes with the same one again."""
    webhook: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of a run without its graph."""

    seq: int
    """In which order it was accepted."""
    id: str
    client: str
    owner: str
    priority: int
    number: float
    state: State
    attempts: int
    """How often it was begun."""
    deaths: int
    """How many of these ended with the worker's death, while nothing else ran there."""
    suspect: bool
    """Whether it was running when a worker died; it runs alone from then on."""
    worker: str
    created_ms: int
    started_ms: int | None
    finished_ms: int | None
    error: Mapping[str, Any] | None
    webhook: str

    @property
    def ended(self) -> bool:
        """Whether nothing will happen to it any more."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class Which:
    """Which runs are asked for."""

    states: Sequence[State] = ()
    """In one of these states; in any if empty."""
    owner: str | None = None
    """Of this owner; of any if None."""
    client: str | None = None
    """Of this client; of any if None."""
    before: int | None = None
    """Accepted before the one with this `seq`."""
    begun: bool = False
    """Only those that left the queue."""


EVERY = Which()
"""All of them."""


@dataclass(frozen=True, slots=True)
class Milestone:
    """An event worth keeping."""

    id: int
    """Counts over all runs."""
    run: str
    sequence: int
    """Counts from 1 in each run, over all its attempts."""
    name: str
    time_ms: int
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a request."""

    run: Run
    event: Milestone | None
    """That it is queued; None if it was there already, by its idempotency key or its id."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ends."""

    state: State
    event: str
    """The last event's name."""
    data: Mapping[str, Any]
    """What it says; its `error` is the run's."""


class File(NamedTuple):
    """A file that a run saves: the node's first is at position 0."""

    run: str
    node: str
    position: int
