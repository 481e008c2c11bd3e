"""Shared by the stages: where results are kept, averaging of weights, the rate schedule."""

import copy
import math
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

RUNS = Path(__file__).parent / "runs"
WARM_UP = 100


def cosine(step: int, total: int, peak: float) -> float:
    """Learning rate: a short warm-up, then half a cosine down to 1 % of the peak."""
    fall = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / total))
    return peak * min(1.0, (step + 1) / WARM_UP) * (0.01 + 0.99 * fall)


class Averaged:
    """An exponential moving average of a network's weights."""

    def __init__(self, source: nn.Module, decay: float) -> None:
        self.source = source
        self.decay = decay
        self.model = copy.deepcopy(source).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the source; faster in the first steps."""
        amount = 1 - min(self.decay, (step + 1) / (step + 10))
        mine = list(self.model.parameters())
        torch._foreach_lerp_(mine, list(self.source.parameters()), amount)


def save_weights(model: nn.Module, name: str) -> None:
    """Write a stage's result."""
    RUNS.mkdir(exist_ok=True)
    weights = {key: value.contiguous() for key, value in model.state_dict().items()}
    save_file(weights, RUNS / f"{name}.safetensors")


def load_weights(model: nn.Module, name: str) -> bool:
    """Read a stage's result; False if there is none yet."""
    path = RUNS / f"{name}.safetensors"
    if path.exists():
        model.load_state_dict(load_file(path))
    return path.exists()
