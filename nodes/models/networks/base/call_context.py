"""The call that a network is in, as its parts can read it, and wrappers of such parts."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nodes.sampling.conditioning.run_memory import RunMemory


@dataclass(frozen=True, slots=True, eq=False)
class NetworkCall:
    """The size and the noise level of one forward pass."""

    height: int
    """The latent's."""
    width: int
    sigma: Tensor
    """[batch]."""
    sigma_at: Callable[[float], float]
    """A function from a fraction of the schedule to its sigma."""
    steered: bool = False
    """True if ControlNets add to its hidden states."""
    memory: RunMemory = field(default_factory=lambda: RunMemory(most=0))
    """Keeps what is the same in all calls of a run."""
    branches: tuple[int, ...] = ()
    """See `CondBatch.branches`."""
    spare: Callable[[], int] = lambda: 0
    """Returns the bytes of the network's device that nothing in the call will need."""

    def is_between(self, start: float, end: float) -> bool:
        """Return True in this part of the schedule, in fractions; the noisiest row counts."""
        return self.sigma_at(end) <= float(self.sigma.max()) <= self.sigma_at(start)

    def generator(self, number: int = 0) -> torch.Generator:
        """Return a generator whose seed depends only on the noise level and on a number."""
        return torch.Generator().manual_seed(round(float(self.sigma.max()) * 1e6) + number)


_CURRENT: ContextVar[NetworkCall] = ContextVar("network_call")


def current() -> NetworkCall:
    """Return the call that this thread's network is in."""
    return _CURRENT.get()


def current_memory() -> RunMemory:
    """Return the memory of the run that this thread's network is in; outside of runs, of none."""
    call = _CURRENT.get(None)
    return RunMemory(most=0) if call is None else call.memory


def spare_bytes() -> int:
    """Return the bytes of its device that the call of this thread's network leaves free."""
    call = _CURRENT.get(None)
    return 0 if call is None else call.spare()


@contextmanager
def during(call: NetworkCall) -> Generator[None]:
    """Let `current` return this call in the block."""
    token = _CURRENT.set(call)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def wrap(part: nn.Module, wrapper: Callable[..., Any]) -> None:
    """Let `wrapper(forward, *args, **kwargs)` run in place of a part's `forward` from now on."""
    part.forward = partial(wrapper, part.forward)
