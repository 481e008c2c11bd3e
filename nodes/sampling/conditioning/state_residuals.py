"""Residuals that depend on the states that they are added to, block by block."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

STATES = "states"
"""The part of a network's residuals that depend on the outputs of its blocks, one for each."""


@dataclass(frozen=True, slots=True, eq=False)
class StateResidual:
    """A residual that is made of a block's output in the middle of a call, when it is added.

    It goes where other residuals go: what is done to it before is done once it is made.
    """

    made_of: Callable[[Tensor], Tensor]
    """A function from states, [batch, length, width], to what is added to them: [batch, at most
    length, width], for the first ones."""
    ndim: ClassVar[int] = 3

    def to(self, like: Tensor) -> "StateResidual":
        """Return it as it is: it gets the dtype and device of the states."""
        del like
        return self

    def __mul__(self, weight: Tensor) -> "StateResidual":
        """Return it times one number a sample: [batch, 1, 1]."""
        return StateResidual(lambda states: self.made_of(states) * weight.to(states))

    def __add__(self, other: "StateResidual") -> "StateResidual":
        """Return the sum of two, both made of the same states."""
        return StateResidual(lambda states: self.made_of(states) + other.made_of(states))

    def __radd__(self, states: Tensor) -> Tensor:
        """Return the states with what is made of them added to the first ones."""
        made = self.made_of(states)
        changed = states[:, : made.shape[1]] + made
        return torch.cat([changed, states[:, made.shape[1] :]], dim=1)

    def beside(self, fixed: Tensor) -> "StateResidual":
        """Return it with a residual that does not depend on the states: [batch, length, width]."""

        def made_of(states: Tensor) -> Tensor:
            made, sum_ = self.made_of(states), fixed.clone()
            sum_[:, : made.shape[1]] += made
            return sum_

        return StateResidual(made_of)
