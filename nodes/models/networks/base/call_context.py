"""What the parts of a network can know of the call that they are in, and how one is wrapped."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class NetworkCall:
    """One forward pass."""

    height: int
    """Of the latent."""
    width: int
    sigma: Tensor
    """[batch]."""
    sigma_at: Callable[[float], float]
    """From a fraction of the schedule to the level there."""
    steered: bool = False
    """Whether ControlNets add to its hidden states."""

    def is_between(self, start: float, end: float) -> bool:
        """Whether it is in this part of the schedule, in fractions; its noisiest row counts."""
        return self.sigma_at(end) <= float(self.sigma.max()) <= self.sigma_at(start)

    def generator(self, number: int = 0) -> torch.Generator:
        """Randomness that only depends on the level of noise and on a number."""
        return torch.Generator().manual_seed(round(float(self.sigma.max()) * 1e6) + number)


_CURRENT: ContextVar[NetworkCall] = ContextVar("network_call")


def current() -> NetworkCall:
    """The call that this thread's network is in."""
    return _CURRENT.get()


@contextmanager
def during(call: NetworkCall) -> Generator[None]:
    """Let `current` be this call."""
    token = _CURRENT.set(call)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def wrap(part: nn.Module, wrapper: Callable[..., Any]) -> None:
    """Call `wrapper(forward, *args, **kwargs)` where a part of a network is called from now on."""
    part.forward = partial(wrapper, part.forward)
