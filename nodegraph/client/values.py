"""Runs, events, outputs and findings, as a server sends them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, TypeAlias

Status: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: tuple[Status, ...] = ("succeeded", "failed", "cancelled")
ENDS = ("run_finished", "run_failed", "run_cancelled")
"""The names of the events that end a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerValue:
    """Base class: read from a JSON object, whose unknown keys are ignored."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read the value that a server sent."""
        return cls(**{each.name: data[each.name] for each in fields(cls) if each.name in data})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(ServerValue):
    """The state of a run."""

    id: str
    status: Status
    client: str = ""
    priority: int = 0
    position: int | None = None
    """The number of runs before it; None if it does not wait."""
    attempts: int = 0
    """The number of times it was started."""
    worker: str = ""
    """The worker that computes it or did."""
    servers: Sequence[str] = ()
    """The ComfyUI servers that may run it; the server's own workers if there are none."""
    why: str = ""
    """The reason for that; empty if the server has no ComfyUI servers."""
    created_ms: int = 0
    """Milliseconds since 1970."""
    started_ms: int | None = None
    finished_ms: int | None = None
    error: Mapping[str, Any] | None = None
    """The error it failed with: `code`, `message`, `hint`, `node_id`, …"""

    @property
    def ended(self) -> bool:
        """True once the run is over."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(ServerValue):
    """Something that happened to a run.

    `progress` and `position` have no `id`: they are sent once, and not stored.
    """

    name: str
    """`run_started`, `node_started`, `progress`, `node_finished`, `run_finished`, …"""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: int | None = None
    """Grows over all runs; `follow(…, after=id)` goes on after it."""
    run: str = ""
    sequence: int | None = None
    """Counts a run's events from 1."""
    time_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(ServerValue):
    """A file that a run made."""

    node: str
    kind: str
    """`images`, `latents`, …"""
    filename: str
    url: str
    """Its address on the server."""
    type: str = "output"
    """`output`, or `temp` for a file that is only shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(ServerValue):
    """Something that is wrong with a workflow or a request."""

    code: str
    message: str
    hint: str = ""
    node_id: str | None = None
    input_name: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
