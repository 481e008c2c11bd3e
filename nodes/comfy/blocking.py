"""What packs return for an output that is not there."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutionBlocker:
    """Keeps every node from running that reads it."""

    message: str | None = None
