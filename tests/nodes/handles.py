"""Handles on test checkpoints, opened once."""

from functools import cache
from pathlib import Path

from nodes.weights.checkpoint import Checkpoint, open_checkpoint
from tests.checkpoints import tiny


@cache
def tiny_checkpoint(name: str = "tiny_sd15") -> Checkpoint:
    """One of those of the reference numbers."""
    return opened(tiny(f"checkpoints/{name}.safetensors"))


def opened(path: Path) -> Checkpoint:
    """A checkpoint by its path; tests need no hashes."""
    return open_checkpoint(path, str(path))
