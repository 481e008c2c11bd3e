"""What a model handle is shown besides its conditions: pictures, on their way to the network."""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

from nodes.denoiser import Branch
from nodes.values import Cond, CondBatch

SigmaAt: TypeAlias = Callable[[float], float]
"""From a fraction of the schedule to the level there."""


class Shown(Protocol):
    """Puts tensors into every condition, where the network's adapter finds them."""

    def conditions(self, cond: Cond, number: int, size: tuple[int, int], branch: Branch) -> Cond:
        """A condition with its tensors in `extras`, [1, …] each.

        Args:
            cond: as nodes made it.
            number: which of the things shown it is.
            size: height and width of the whole latent.
            branch: the branch of guidance that it belongs to.
        """
        ...

    def at(self, cond: CondBatch, number: int, sigma: Tensor, sigma_at: SigmaAt) -> CondBatch:
        """The conditions of one call, as far as they hold at its levels, [batch]."""
        ...
