"""The value that packs return to block an output."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExecutionBlocker:
    """Stops every node that reads it from running."""

    message: str | None = None
