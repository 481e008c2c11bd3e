"""Inputs for the nodes that handle tensors: smooth, exactly repeatable, and guarded."""

import math
from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor


def grid(shape: tuple[int, ...], step: float) -> Tensor:
    """sin(k * step) for k = 0, 1, 2, …, as the reference's inputs are made."""
    return torch.sin(torch.arange(math.prod(shape)) * step).reshape(shape).float()


def picture(batch: int = 2, height: int = 24, width: int = 40, channels: int = 3) -> Tensor:
    return grid((batch, height, width, channels), 0.11) * 0.5 + 0.5


@contextmanager
def untouched(*tensors: Tensor) -> Generator[None]:
    """Fail if what happens inside writes into one of the tensors."""
    before = [tensor._version for tensor in tensors]
    yield
    assert [tensor._version for tensor in tensors] == before, "a node wrote into its input"
