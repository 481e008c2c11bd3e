"""Nodes that cut and change noise levels."""

import math
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Round, Step
from nodes.inputs import Ratio
from nodes.values import Sigmas
from nodes.weights.handle import ModelHandle

_SIGMAS = "sampling/custom_sampling/sigmas"
_LOWEST = 1e-4
"""Where levels begin that would begin at 0, which samplers divide by."""


class Split(NamedTuple):
    """Two parts of a schedule; the level between them is in both."""

    high_sigmas: Sigmas
    low_sigmas: Sigmas


class SigmaValue(NamedTuple):
    """One noise level."""

    sigma_value: float


@node("SplitSigmas", category=_SIGMAS)
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Field(ge=0, le=10000)] = 0) -> Split:
    """Cut a schedule in two after a number of steps, for two samplers."""
    return Split(sigmas[: step + 1], sigmas[step:])


@node("SplitSigmasDenoise", category=_SIGMAS)
def split_sigmas_denoise(sigmas: Sigmas, denoise: Ratio = 1.0) -> Split:
    """Cut a schedule in two so that this share of the steps is in the second part."""
    steps = max(len(sigmas) - 1, 0)
    first = steps - round(steps * denoise)
    return Split(sigmas[: first + 1], sigmas[first:])


@node("FlipSigmas", category=_SIGMAS)
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """The levels the other way round, from the image back to the noise; 0 becomes 0.0001."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = _LOWEST
    return flipped


@node("SetFirstSigma", category=_SIGMAS)
def set_first_sigma(
    sigmas: Sigmas,
    sigma: Annotated[float, Field(ge=0.0, le=20000.0), Step(0.001), Round(False)] = 136.0,
) -> Sigmas:
    """The same levels with another first one."""
    changed = sigmas.clone()
    changed[:1] = sigma
    return changed


@node("ExtendIntermediateSigmas", category=_SIGMAS)
def extend_intermediate_sigmas(
    *,
    sigmas: Sigmas,
    steps: Annotated[int, Field(ge=1, le=100)] = 2,
    start_at_sigma: Annotated[float, Field(ge=-1.0, le=20000.0), Step(0.01), Round(False)] = -1.0,
    end_at_sigma: Annotated[float, Field(ge=0.0, le=20000.0), Step(0.01), Round(False)] = 12.0,
    spacing: Literal["linear", "cosine", "sine"],
) -> Sigmas:
    """Take `steps` steps instead of one wherever a step begins between two levels.

    These are `start_at_sigma` (-1 is any) and `end_at_sigma`. `cosine` spaces the new levels
    more closely at the beginning of each step, `sine` at its end.
    """
    highest = math.inf if start_at_sigma < 0 else start_at_sigma
    ways = _substeps(steps, spacing)
    given, levels = [float(sigma) for sigma in sigmas], list[float]()
    for sigma, sigma_next in pairwise(given):
        between = ways if end_at_sigma <= sigma <= highest else [0.0]
        levels += [sigma + way * (sigma_next - sigma) for way in between]
    return torch.tensor([*levels, *given[-1:]])


@node("SamplingPercentToSigma", category=_SIGMAS)
def sampling_percent_to_sigma(
    model: ModelHandle,
    sampling_percent: Annotated[float, Field(ge=0.0, le=1.0), Step(0.0001)] = 0.0,
    return_actual_sigma: bool = False,
) -> SigmaValue:
    """The level at a fraction of the model's schedule: 0 is pure noise, 1 the finished image.

    At both ends, it is beyond what the model knows, as ranges of conditions count it;
    `return_actual_sigma` gives the model's highest and lowest level there.
    """
    facts = model.parameterisation
    ends = {0.0: facts.sigma_max, 1.0: facts.sigma_min} if return_actual_sigma else {}
    percent = facts.percent_to_sigma(sampling_percent)
    return SigmaValue(ends.get(sampling_percent, percent))


def _substeps(steps: int, spacing: str) -> list[float]:
    """How far along a step its parts begin, from 0."""
    even = [i / steps for i in range(steps)]
    if spacing == "cosine":
        return [1 - math.cos(way * math.pi / 2) for way in even]
    if spacing == "sine":
        return [math.sin(way * math.pi / 2) for way in even]
    return even
