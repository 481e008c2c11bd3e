"""The protocol of a worker, which the dispatcher uses to compute runs."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from nodegraph.runtime.choices import PreviewMethod
from server.store.runs import Work

PACK_MESSAGE = "pack_message"
TRANSIENT = ("progress", "preview", "progress_text", PACK_MESSAGE)
"""Events that are published but not stored."""


@dataclass(frozen=True, slots=True)
class Order:
    """A run to compute."""

    run: str
    attempt: int
    work: Work
    owner: str = ""
    """The user whose folders the run reads and writes."""
    client: str = ""
    """The client that sent it, which hears of it; empty if there is none."""
    previews: PreviewMethod = "none"
    """The preview method."""
    retries: int = 0
    """Number of times that the run was put into the queue again because somebody asked for it."""
    watched: bool = False
    """True if somebody watches the run now, so that previews are worth making."""


@dataclass(frozen=True, slots=True)
class Report:
    """A worker's report of a run: an event of the engine, or its end."""

    name: str
    """The event's name; `done` is the last."""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    payload: bytes = b""

    @property
    def transient(self) -> bool:
        """True if it is published but not stored."""
        return self.name in TRANSIENT


@runtime_checkable
class WarmsUp(Protocol):
    """A worker that runs workflows first, so that it has their models in memory."""

    @property
    def warming(self) -> bool:
        """True while it does so for the first time; it is not ready then."""
        ...


class Worker(Protocol):
    """A worker that computes runs."""

    @property
    def name(self) -> str:
        """The name in logs and in the store."""
        ...

    @property
    def server(self) -> str:
        """The name of the ComfyUI server that it stands for; empty for a process of our own."""
        ...

    @property
    def ready(self) -> bool:
        """True if it accepts runs now."""
        ...

    @property
    def slots(self) -> int:
        """The number of runs that it computes at once."""
        ...

    @property
    def writing(self) -> Collection[str]:
        """The runs that have computed everything and only write their files: no slot is theirs."""
        ...

    @property
    def models(self) -> Collection[str]:
        """The paths of the model files whose weights it has in memory; empty if nobody knows."""
        ...

    @property
    def device(self) -> Mapping[str, Any]:
        """The device: `name`, `type`, `index`, `vram_total`, …; empty if the worker is not ready.

        Until torch is imported it describes only the machine.
        """
        ...

    async def start(self) -> None:
        """Start the worker; return before it is ready."""
        ...

    def run(self, order: Order) -> AsyncGenerator[Sequence[Report]]:
        """Compute a run and yield its reports in batches; the last report is `done`.

        Raises:
            WorkerLostError: the worker died before the end of the run.
        """
        ...

    async def cancel(self, run: str) -> None:
        """Stop a run as soon as possible."""
        ...

    def set_watched(self, run: str, watched: bool) -> None:
        """Turn previews of a run on or off, as somebody watches it or nobody does."""
        ...

    async def expect(self, prompt: Mapping[str, Any]) -> None:
        """Tell it of the graph that it will probably compute next, so that it reads its files."""
        ...

    async def reload(self) -> None:
        """Have it reload packs whose files have changed."""
        ...

    async def free(self) -> None:
        """Have it clear its result cache, which frees the models that no run uses."""
        ...

    async def stop(self) -> None:
        """End the worker."""
        ...
