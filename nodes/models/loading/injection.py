"""Adapter tensors that a model handle injects into its conditions, such as image prompts."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

from nodes.sampling.conditioning.cond import Cond, CondBatch
from nodes.sampling.conditioning.denoiser import Branch

SigmaAt: TypeAlias = Callable[[float], float]
"""From a fraction of the schedule to the level there."""


class ConditioningInjection(Protocol):
    """Injects tensors into every condition, where the network's adapter finds them."""

    def conditions(self, cond: Cond, number: int, size: tuple[int, int], branch: Branch) -> Cond:
        """Return a condition with the injected tensors in `extras`, [1, …] each.

        Args:
            cond: as nodes made it.
            number: the place of this injection among the handle's, from 0.
            size: height and width of the whole latent.
            branch: the branch of guidance that it belongs to.
        """
        ...

    def at(self, cond: CondBatch, number: int, sigma: Tensor, sigma_at: SigmaAt) -> CondBatch:
        """Return the conditions of a call with the injection as it holds at the levels, [batch]."""
        ...
