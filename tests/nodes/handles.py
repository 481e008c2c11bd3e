"""Handles on test checkpoints, opened once."""

from functools import cache
from pathlib import Path

from nodegraph.files import Files
from nodegraph.folders import Folders
from nodes.weights.checkpoint import Checkpoint, open_checkpoint
from tests.checkpoints import tiny_models


@cache
def tiny_checkpoint() -> Checkpoint:
    """The one of the reference numbers."""
    return opened(tiny_models() / "models" / "checkpoints" / "tiny_sd15.safetensors")


def opened(path: Path) -> Checkpoint:
    """A checkpoint by its path; tests need no hashes."""
    return open_checkpoint(path, str(path))


def tiny_files() -> Files:
    """The folder that holds it."""
    return Files(Folders.under(tiny_models()))
