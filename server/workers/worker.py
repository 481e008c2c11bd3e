"""What the dispatcher asks of whatever computes runs."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nodegraph.choices import PreviewMethod
from server.store.runs import Work

PASSING = ("progress", "preview", "pack_message")
"""Events that are not kept."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run to compute."""

    run: str
    attempt: int
    work: Work
    owner: str = ""
    """Whose folders it reads and writes."""
    previews: PreviewMethod = "none"
    """How they are made."""
    looked_at: bool = False
    """Whether anybody looks at them now."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a worker says of a run: an event of the engine, or that it is over."""

    name: str
    """The event's name; `done` is the last."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    payload: bytes = b""

    @property
    def passing(self) -> bool:
        """Whether it is told but not kept."""
        return self.name in PASSING


class Worker(Protocol):
    """Computes runs somewhere."""

    @property
    def name(self) -> str:
        """What it is called in logs and in the store."""
        ...

    @property
    def ready(self) -> bool:
        """Whether it takes runs now."""
        ...

    @property
    def slots(self) -> int:
        """How many runs it computes at once."""
        ...

    @property
    def device(self) -> Mapping[str, Any]:
        """What it computes on: `name`, `type`, `index`, `vram_total`, …; empty if not ready.

        The first moments it is only the machine that is known, for torch is not there yet.
        """
        ...

    async def start(self) -> None:
        """Bring it up; returns before it is ready."""
        ...

    def run(self, order: Order) -> AsyncGenerator[Sequence[Report]]:
        """Compute a run; ends after the `done` report. What is there comes at once.

        Raises:
            WorkerLostError: it died on the way.
        """
        ...

    async def cancel(self, run: str) -> None:
        """Stop a run as soon as it can be."""
        ...

    def look(self, run: str, looked_at: bool) -> None:
        """From now on somebody looks at a run's previews, or nobody."""
        ...

    async def reload(self) -> None:
        """Let it read packs again whose files have changed."""
        ...

    async def free(self) -> None:
        """Let it forget its results, and the models that no run holds."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...
