"""What a server says of runs, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, TypeAlias

Status: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: tuple[Status, ...] = ("succeeded", "failed", "cancelled")
ENDS = ("run_finished", "run_failed", "run_cancelled")
"""The events of which one is a run's last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Base class: made of a JSON object, whatever else a later server puts into it."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """The value that a server sent."""
        return cls(**{each.name: data[each.name] for each in fields(cls) if each.name in data})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Told):
    """How a run is doing."""

    id: str
    status: Status
    client: str = ""
    priority: int = 0
    position: int | None = None
    """How many runs are before it; None if it does not wait."""
    attempts: int = 0
    """How often it was begun."""
    created_ms: int = 0
    """Milliseconds since 1970."""
    started_ms: int | None = None
    finished_ms: int | None = None
    error: Mapping[str, Any] | None = None
    """What went wrong: `code`, `message`, `hint`, `node_id`, …"""

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEvent(Told):
    """Something that happened to a run.

    `progress` and `position` have no `id`: they are told while they are news, and not again.
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
class Output(Told):
    """A file that a run made."""

    node: str
    kind: str
    """`images`, `latents`, …"""
    filename: str
    url: str
    """Where it is on the server."""
    type: str = "output"
    """`output`, or `temp` for what is only shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Told):
    """Something that is wrong with a workflow or a request."""

    code: str
    message: str
    hint: str = ""
    node_id: str | None = None
    input_name: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
