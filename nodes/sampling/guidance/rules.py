"""Guidance rules from papers: each combines, prepares or corrects a model's predictions.

All work on x0. The noise, or the velocity, that a prediction stands for is (x - x0) / sigma:
what is said there about directions and ratios of lengths holds for x - x0.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from nodes.imaging.filters import scale_frequencies
from nodes.sampling.guidance.settings import GuidanceInputs, deviation


@dataclass(frozen=True, slots=True)
class Rescaled:
    """Guidance whose v-prediction keeps the standard deviation that the positive one has.

    Lin et al. 2023 (arXiv:2305.08891), eq. 14 to 16, for models that add noise to the latent.
    """

    multiplier: float = 0.7
    """0 is plain classifier-free guidance, 1 fully rescaled."""

    def __call__(self, terms: GuidanceInputs) -> Tensor:
        """Combine in v, go back to x0."""
        sigma = terms.sigma.reshape(-1, *[1] * (terms.x.ndim - 1))
        root = (sigma**2 + 1.0).sqrt()
        scaled = terms.x / (sigma**2 + 1.0)
        cond, uncond = ((scaled - x0) * root / sigma for x0 in (terms.cond, terms.uncond))
        guided = uncond + terms.cfg * (cond - uncond)
        rescaled = guided * (deviation(cond) / deviation(guided))
        v = self.multiplier * rescaled + (1.0 - self.multiplier) * guided
        return scaled - v * sigma / root


@dataclass(frozen=True, slots=True)
class PerpendicularNegative:
    """The negative prompt pushes only across what the positive asks for.

    Perp-Neg (Armandpour et al. 2023, arXiv:2304.04968), eq. 10, with one negative prompt. The
    third prediction is that of the empty prompt.
    """

    strength: float = 1.0

    def __call__(self, terms: GuidanceInputs) -> Tensor:
        """Both prompts seen from the empty one."""
        (empty,) = terms.others
        positive, negative = terms.cond - empty, terms.uncond - empty
        across = negative - _ratio(negative, positive) * positive
        return empty + terms.cfg * (positive - self.strength * across)


@dataclass(frozen=True, slots=True)
class TwoConditions:
    """Guidance by two conditions, of which the first holds on top of the second.

    `regular` adds the two up (Brooks et al. 2022, arXiv:2211.09800, eq. 3); `nested` guides from
    the negative towards what the two conditions give when guided between themselves.
    """

    cfg: float
    """From the negative to the second condition; the sampler's own leads on to the first."""
    style: Literal["regular", "nested"]

    def __call__(self, terms: GuidanceInputs) -> Tensor:
        """The third prediction is that of the second condition."""
        (second,) = terms.others
        if self.style == "nested":
            inner = second + terms.cfg * (terms.cond - second)
            return terms.uncond + self.cfg * (inner - terms.uncond)
        step = self.cfg * (second - terms.uncond)
        return terms.uncond + step + terms.cfg * (terms.cond - second)


@dataclass(frozen=True, slots=True)
class Projected:
    """Adaptive projected guidance: less of what only makes the picture more saturated.

    Sadat et al. 2024 (arXiv:2410.02416), algorithm 1.
    """

    eta: float = 1.0
    """How much remains of the guidance that is parallel to the positive prediction."""
    norm_threshold: float = 5.0
    """The guidance gets no longer than this; 0 for no limit."""
    momentum: float = 0.0
    """How much of the past guidance is added; the paper takes it away, below 0."""

    def __call__(self, terms: GuidanceInputs) -> Tensor:
        """Project the guidance onto the positive prediction."""
        update = terms.cond - terms.uncond
        if self.momentum and "momentum" in terms.memory:
            update = update + self.momentum * terms.memory["momentum"]
        terms.memory["momentum"] = update
        if self.norm_threshold > 0:
            update = update * (self.norm_threshold / _dot(update, update).sqrt()).clamp(max=1.0)
        parallel = _ratio(update, terms.cond) * terms.cond
        return terms.cond + (terms.cfg - 1) * (update - parallel + self.eta * parallel)


def fit_negative(terms: GuidanceInputs) -> GuidanceInputs:
    """Scale the negative's velocity to come as close to the positive's as it can.

    The optimised scale of CFG-Zero* (Fan et al. 2025, arXiv:2503.18886, eq. 10); steps stay as
    they are (no zero-init).
    """
    positive, negative = terms.x - terms.cond, terms.x - terms.uncond
    return replace(terms, uncond=terms.x - _ratio(positive, negative) * negative)


def damp_tangent(terms: GuidanceInputs) -> GuidanceInputs:
    """Keep of the negative's direction only what it shares with the positive's.

    TCFG (Kwon et al. 2025, arXiv:2503.18137): the first right singular vector of the two, here
    by the rotation that makes them orthogonal (Jacobi).
    """
    positive, negative = terms.x - terms.cond, terms.x - terms.uncond
    difference = _dot(positive, positive) - _dot(negative, negative)
    angle = torch.atan2(2 * _dot(positive, negative), difference) / 2
    shared = angle.cos() * positive + angle.sin() * negative
    kept = _ratio(negative, shared) * shared
    return replace(terms, uncond=terms.x - kept)


@dataclass(frozen=True, slots=True)
class ScaledGuidance:
    """Guides coarse shapes and fine detail by different amounts.

    FreSca (Huang et al. 2025, arXiv:2504.02154): the difference of the predictions is scaled
    by frequency.
    """

    low: float
    high: float
    cutoff: int
    """How many waves across the latent, either way, are low."""

    def __call__(self, terms: GuidanceInputs) -> GuidanceInputs:
        """With the positive prediction moved."""
        scaled = scale_frequencies(terms.cond - terms.uncond, self.cutoff, self.low, self.high)
        return replace(terms, cond=terms.uncond + scaled)


@dataclass(frozen=True, slots=True)
class ScaledNoise:
    """Divide the predicted noise, against the drift that sampling builds up.

    Epsilon scaling (Ning et al. 2023, arXiv:2308.15321), eq. 11, with a constant factor.
    """

    factor: float

    def __call__(self, x: Tensor, x0: Tensor) -> Tensor:
        """Less noise removed where the factor is above 1."""
        return x - (x - x0) / self.factor


@dataclass(frozen=True, slots=True)
class Course:
    """How much of the guidance holds, step by step; see `GuidanceSettings.share`."""

    shape: Literal["constant", "linear", "cosine"] = "constant"
    first: float = 1.0
    """At the first step."""
    last: float = 1.0
    """At the last step; a constant course has the first all the way."""
    start: float = 0.0
    end: float = 1.0
    """The interval it holds for, in fractions of the steps (Kynkäänniemi et al. 2024,
    arXiv:2404.07724); none elsewhere."""

    def __call__(self, step: int, steps: int) -> float:
        """The share at a step, from 0."""
        if not self.start <= step / steps < self.end:
            return 0.0
        at = step / max(steps - 1, 1)
        way = {"constant": 0.0, "linear": at, "cosine": (1 - math.cos(math.pi * at)) / 2}
        return self.first + (self.last - self.first) * way[self.shape]


def _ratio(a: Tensor, b: Tensor) -> Tensor:
    """How many times b fits into a, image by image: [batch, 1, …]; 0 where b is 0."""
    return _dot(a, b) / _dot(b, b).clamp(min=1e-30)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(tuple(range(1, b.ndim)), keepdim=True)
