"""The noise level that a step jumps to, for networks that are told it: flow maps.

A flow map predicts the average velocity between two times, not the velocity at one of them (Boffi
et al. 2024, arXiv:2406.07507, section 3), so that a few long steps are as exact as many short ones.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from nodes.sampling.conditioning.cond import CondBatch
from nodes.sampling.noise_schedule.parameterization import Parameterization
from nodes.sampling.noise_schedule.variance_exploding import rows_on

TARGET = "target_timestep"
"""The key in a condition's extras of the time that its call's step jumps to: [batch]."""
_SAME = 1e-5
"""Levels that differ by less than this share of them are one level, differently rounded."""


def with_target(
    cond: CondBatch, sigma: Tensor, levels: Tensor | None, parameterization: Parameterization
) -> CondBatch:
    """Return a call's conditions with the time that each row jumps to.

    It is that of the next lower level of the schedule, also for a call between two of its levels.

    Args:
        cond: one row a sample.
        sigma: [batch], the levels of the call.
        levels: [steps + 1], those of the run's steps; None if they are not known.
        parameterization: of the model.
    """
    target = parameterization.timestep(next_level(sigma, levels))
    return replace(cond, extras={**cond.extras, TARGET: rows_on(cond.tokens.device, target)})


def next_level(sigma: Tensor, levels: Tensor | None) -> Tensor:
    """Return the next lower level of a schedule for each level, 0 if there is none; shaped alike.

    Args:
        sigma: [batch].
        levels: [steps + 1], in any order; None is a single step to 0.
    """
    if levels is None:
        return torch.zeros_like(sigma)
    known = levels.to(sigma)
    below = known < sigma[:, None] * (1 - _SAME)
    return torch.where(below, known, 0).amax(dim=1)


def target_of(extras: Mapping[str, Tensor], timestep: Tensor) -> Tensor:
    """Return the time that each row of a call jumps to, like `timestep`; 0 if nothing tells.

    Args:
        extras: of the call.
        timestep: [batch], the network's time of the call.
    """
    target = extras.get(TARGET)
    return torch.zeros_like(timestep) if target is None else target.to(timestep)
