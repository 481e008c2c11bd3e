"""Nodes that split and change noise levels (sigmas)."""

import math
import re
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph.definition.markers import Name, Round, Step, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import Ratio
from nodes.models.loading.handles import ModelHandle
from nodes.sampling.noise_schedule.errors import BadSettingError
from nodes.values import Sigmas

_SIGMAS = "sampling/custom_sampling/sigmas"
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_LONGEST = 100_000
"""Characters that are read: more levels than any sampler could follow."""
_LOWEST = 1e-4
"""The lowest level, in place of 0, by which samplers would divide."""


class SplitSchedule(NamedTuple):
    """Two parts of a schedule; both contain the level where it is split."""

    high_sigmas: Sigmas
    low_sigmas: Sigmas


class SigmaValue(NamedTuple):
    """One noise level."""

    sigma_value: float


@node("ManualSigmas", category=_SIGMAS, experimental=True)
def manual_sigmas(
    sigmas: Annotated[str, Widget(multiline=False)] = "1, 0.5",
) -> Annotated[Sigmas, Name("sigmas")]:
    """Write down the noise levels: all numbers of a text, such as "1.0, 0.75, 0.5, 0"."""
    found = [float(number) for number in _NUMBER.findall(sigmas[:_LONGEST])]
    if not found or not all(map(math.isfinite, found)):
        hint = "For example 1.0, 0.75, 0.5, 0."
        raise BadSettingError(name="sigmas", what="has no numbers", hint=hint)
    return torch.tensor(found, dtype=torch.float32)


@node("SplitSigmas", category=_SIGMAS)
def split_sigmas(sigmas: Sigmas, step: Annotated[int, Field(ge=0, le=10000)] = 0) -> SplitSchedule:
    """Split a schedule after `step` steps, for two samplers."""
    return SplitSchedule(sigmas[: step + 1], sigmas[step:])


@node("SplitSigmasDenoise", category=_SIGMAS)
def split_sigmas_denoise(sigmas: Sigmas, denoise: Ratio = 1.0) -> SplitSchedule:
    """Split a schedule so that the second part has the share `denoise` of the steps."""
    steps = max(len(sigmas) - 1, 0)
    first = steps - round(steps * denoise)
    return SplitSchedule(sigmas[: first + 1], sigmas[first:])


@node("FlipSigmas", category=_SIGMAS)
def flip_sigmas(sigmas: Sigmas) -> Sigmas:
    """Reverse noise levels, from the image back to the noise; 0 becomes 0.0001."""
    flipped = sigmas.flip(0)
    if len(flipped) and flipped[0] == 0:
        flipped[0] = _LOWEST
    return flipped


@node("SetFirstSigma", category=_SIGMAS)
def set_first_sigma(
    sigmas: Sigmas,
    sigma: Annotated[float, Field(ge=0.0, le=20000.0), Step(0.001), Round(False)] = 136.0,
) -> Sigmas:
    """Replace the first noise level."""
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
    """Divide each step that begins between two noise levels into `steps` steps.

    These levels are `start_at_sigma` (-1 is any) and `end_at_sigma`. `cosine` spaces the new
    levels more closely at the beginning of each step, `sine` at its end.
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
    """Return the noise level at a fraction of the model's schedule: 0 is pure noise, 1 the image.

    At both ends the level is beyond the model's range, as for ranges of conditionings;
    `return_actual_sigma` gives the model's highest and lowest level instead.
    """
    parameterization = model.parameterization
    ends = (
        {0.0: parameterization.sigma_max, 1.0: parameterization.sigma_min}
        if return_actual_sigma
        else {}
    )
    percent = parameterization.percent_to_sigma(sampling_percent)
    return SigmaValue(ends.get(sampling_percent, percent))


def _substeps(steps: int, spacing: str) -> list[float]:
    """Return where in a step each of its parts begins, in [0, 1)."""
    even = [i / steps for i in range(steps)]
    if spacing == "cosine":
        return [1 - math.cos(way * math.pi / 2) for way in even]
    if spacing == "sine":
        return [math.sin(way * math.pi / 2) for way in even]
    return even
