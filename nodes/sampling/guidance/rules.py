"""Guidance rules: classifier-free guidance, and those of other papers, for `GuidanceSettings`.

`classifier_free_guidance`, `RescaledCfg`, `RenormCfg`, `PerpNeg`, `DualCfg` and
`AdaptiveProjectedGuidance` are rules that combine the predictions; `cfg_zero_star_scale`,
`tangential_damping` and `FreSca` are `pre_cfg` functions, and `EpsilonScaling` is a `post_cfg`
function.

All work on x0. The noise, or the velocity, of a prediction is (x - x0) / sigma:
what the papers say about directions and ratios of lengths holds for x - x0.
"""

import math
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from nodes.imaging.filters import scale_frequencies
from nodes.sampling.noise_schedule.variance_exploding import rows_on

Cfg: TypeAlias = float | Tensor
"""The guidance scale; as a tensor [batch], one for each image."""


@dataclass(frozen=True, slots=True, eq=False)
class GuidanceInputs:
    """The predictions that a guidance rule combines; [batch, channels, h, w] each."""

    x: Tensor
    sigma: Tensor
    """A scalar, or [batch]."""
    cond: Tensor
    uncond: Tensor
    cfg: Cfg
    """A number, or [batch, 1, 1, 1]."""
    extras: tuple[Tensor, ...] = ()
    """The predictions for `GuidanceSettings.extras`."""
    memory: MutableMapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """Tensors that a rule keeps from one call of a run to the next, each by a name."""


Rule: TypeAlias = Callable[[GuidanceInputs], Tensor]
"""Combines the predictions into one x0."""


def classifier_free_guidance(inputs: GuidanceInputs) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, eq. 6)."""
    return inputs.uncond + (inputs.cond - inputs.uncond) * inputs.cfg


@dataclass(frozen=True, slots=True)
class FrameCfg:
    """Guidance that changes from frame to frame of a batch, for models of videos.

    `linear` is that of Stable Video Diffusion (Blattmann et al. 2023, arXiv:2311.15127), `triangle`
    that of SV3D (Voleti et al. 2024, arXiv:2403.12008): the most in the middle of an orbit.
    """

    least: float
    """The guidance of the first frame, and of the last one of a triangle."""
    shape: Literal["linear", "triangle"]

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Combine the predictions; the sampler's guidance is the highest."""
        x = inputs.cond
        share = torch.linspace(0.0, 1.0, len(x), dtype=x.dtype, device=x.device)
        if self.shape == "triangle":
            share = 1.0 - (2.0 * share - 1.0).abs()
        share = share.view(-1, *[1] * (x.ndim - 1))
        cfg = self.least + (inputs.cfg - self.least) * share
        return inputs.uncond + (x - inputs.uncond) * cfg


@dataclass(frozen=True, slots=True)
class CfgNorm:
    """Brings guided predictions to the length of the positive ones, at each place of the latent.

    Like the pipeline of Wu et al. 2025, "Qwen-Image Technical Report" (arXiv:2508.02324), which
    compares the noise of whole patches, and lengthens it, too.
    """

    strength: float = 1.0
    """A factor for the result."""
    of_noise: bool = False
    """Compare the predicted noise, and lengthen it, too; otherwise x0 is only ever shortened."""

    def apply(self, x: Tensor, guided: Tensor, cond: Tensor) -> Tensor:
        """Return the guided x0 with its new length."""
        if self.of_noise:
            noise = x - guided
            return x - noise * _length_ratio(x - cond, noise) * self.strength
        return guided * _length_ratio(cond, guided).clamp(0.0, 1.0) * self.strength


def _length_ratio(a: Tensor, b: Tensor) -> Tensor:
    """Return how much longer `a` is than `b` over its channels: [batch, 1, h, w]."""
    return _norm(a) / (_norm(b) + 1e-8)


def _norm(x: Tensor) -> Tensor:
    return x.square().sum(dim=1, keepdim=True).sqrt()


@dataclass(frozen=True, slots=True)
class RescaledCfg:
    """Guidance whose v-prediction keeps the standard deviation that the positive one has.

    Lin et al. 2023 (arXiv:2305.08891), eq. 14 to 16, for models that add noise to the latent.
    """

    multiplier: float = 0.7
    """0 is plain classifier-free guidance, 1 fully rescaled."""

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Combine the predictions as v, and return x0."""
        sigma = rows_on(inputs.x.device, inputs.sigma.reshape(-1))
        sigma = sigma.reshape(-1, *[1] * (inputs.x.ndim - 1))
        root = (sigma**2 + 1.0).sqrt()
        scaled = inputs.x / (sigma**2 + 1.0)
        cond, uncond = ((scaled - x0) * root / sigma for x0 in (inputs.cond, inputs.uncond))
        guided = uncond + inputs.cfg * (cond - uncond)
        rescaled = guided * (deviation(cond) / deviation(guided))
        v = self.multiplier * rescaled + (1.0 - self.multiplier) * guided
        return scaled - v * sigma / root


@dataclass(frozen=True, slots=True)
class RenormCfg:
    """Guidance in the last part of the schedule, no longer than a multiple of the positive one.

    Qin et al. 2025, "Lumina-Image 2.0" (arXiv:2503.21758), section 3.4: CFG-Renormalization and
    CFG-Truncation. The velocities' lengths are compared, of each image as a whole.
    """

    below: float = 100.0
    """The noise level (sigma) below which there is guidance; above, the positive one is alone."""
    most: float = 1.0
    """The greatest length, over the positive prediction's; 0 for any."""

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Combine the predictions, each row by its own noise level and length."""
        towards = inputs.x - inputs.cond
        guided = inputs.x - classifier_free_guidance(inputs)
        if self.most > 0.0:
            ratio = (_dot(towards, towards) / _dot(guided, guided).clamp(min=1e-30)).sqrt()
            guided = guided * (ratio * self.most).clamp(max=1.0)
        sigma = rows_on(inputs.x.device, inputs.sigma.reshape(-1))
        late = (sigma < self.below).reshape(-1, *[1] * (inputs.x.ndim - 1))
        return inputs.x - torch.where(late, guided, towards)


@dataclass(frozen=True, slots=True)
class PerpNeg:
    """Guidance by the part of the negative prompt that is perpendicular to the positive.

    Perp-Neg (Armandpour et al. 2023, arXiv:2304.04968), eq. 10, with one negative prompt. The
    extra prediction is that of the empty prompt.
    """

    strength: float = 1.0

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Return the empty prompt's x0 plus the guidance, which is relative to it."""
        (empty,) = inputs.extras
        positive, negative = inputs.cond - empty, inputs.uncond - empty
        perpendicular = negative - _projection(negative, positive) * positive
        return empty + inputs.cfg * (positive - self.strength * perpendicular)


@dataclass(frozen=True, slots=True)
class DualCfg:
    """Guidance by two conditions, the first on top of the second (ComfyUI's DualCFGGuider).

    `regular` adds the two up (Brooks et al. 2022, arXiv:2211.09800, eq. 3); `nested` guides from
    the negative towards what the two conditions give when guided between themselves.
    """

    cfg: float
    """From the negative to the second condition; the sampler's cfg goes on to the first."""
    style: Literal["regular", "nested"]

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Return the guided x0; the extra prediction is that of the second condition."""
        (second,) = inputs.extras
        if self.style == "nested":
            inner = second + inputs.cfg * (inputs.cond - second)
            return inputs.uncond + self.cfg * (inner - inputs.uncond)
        step = self.cfg * (second - inputs.uncond)
        return inputs.uncond + step + inputs.cfg * (inputs.cond - second)


@dataclass(frozen=True, slots=True)
class AdaptiveProjectedGuidance:
    """Adaptive projected guidance (APG): less of the part that only saturates the image.

    Sadat et al. 2024 (arXiv:2410.02416), algorithm 1.
    """

    eta: float = 1.0
    """The part of the guidance parallel to the positive prediction that remains."""
    norm_threshold: float = 5.0
    """The largest norm of the guidance; 0 for no limit."""
    momentum: float = 0.0
    """The part of the past guidance that is added; below 0 it is subtracted, as in the paper."""

    def __call__(self, inputs: GuidanceInputs) -> Tensor:
        """Project the guidance onto the positive prediction."""
        update = inputs.cond - inputs.uncond
        if self.momentum and "momentum" in inputs.memory:
            update = update + self.momentum * inputs.memory["momentum"]
        inputs.memory["momentum"] = update
        if self.norm_threshold > 0:
            update = update * (self.norm_threshold / _dot(update, update).sqrt()).clamp(max=1.0)
        parallel = _projection(update, inputs.cond) * inputs.cond
        return inputs.cond + (inputs.cfg - 1) * (update - parallel + self.eta * parallel)


def cfg_zero_star_scale(inputs: GuidanceInputs) -> GuidanceInputs:
    """Scale the negative's velocity to come as close to the positive's as it can.

    The optimised scale of CFG-Zero* (Fan et al. 2025, arXiv:2503.18886, eq. 10); steps stay as
    they are (no zero-init).
    """
    positive, negative = inputs.x - inputs.cond, inputs.x - inputs.uncond
    return replace(inputs, uncond=inputs.x - _projection(positive, negative) * negative)


def tangential_damping(inputs: GuidanceInputs) -> GuidanceInputs:
    """Keep of the negative's direction only what it shares with the positive's.

    TCFG (Kwon et al. 2025, arXiv:2503.18137): the first right singular vector of the two, here
    by the rotation that makes them orthogonal (Jacobi).
    """
    positive, negative = inputs.x - inputs.cond, inputs.x - inputs.uncond
    difference = _dot(positive, positive) - _dot(negative, negative)
    angle = torch.atan2(2 * _dot(positive, negative), difference) / 2
    shared = angle.cos() * positive + angle.sin() * negative
    damped = _projection(negative, shared) * shared
    return replace(inputs, uncond=inputs.x - damped)


@dataclass(frozen=True, slots=True)
class FreSca:
    """Scale the guidance of coarse shapes and of fine detail by different amounts.

    FreSca (Huang et al. 2025, arXiv:2504.02154): the difference of the predictions is scaled
    by frequency.
    """

    low: float
    high: float
    cutoff: int
    """Frequencies up to this many waves across the latent, either way, are low."""

    def __call__(self, inputs: GuidanceInputs) -> GuidanceInputs:
        """Return the inputs with the positive prediction moved."""
        scaled = scale_frequencies(inputs.cond - inputs.uncond, self.cutoff, self.low, self.high)
        return replace(inputs, cond=inputs.uncond + scaled)


@dataclass(frozen=True, slots=True)
class EpsilonScaling:
    """Divide the predicted noise, against the drift that sampling builds up.

    Epsilon scaling (Ning et al. 2023, arXiv:2308.15321), eq. 11, with a constant factor.
    """

    factor: float

    def __call__(self, x: Tensor, x0: Tensor) -> Tensor:
        """Return x0 with less noise removed where the factor is above 1."""
        return x - (x - x0) / self.factor


@dataclass(frozen=True, slots=True)
class CfgCurve:
    """A `CfgSchedule` along a line or half a cosine, in an interval of the steps."""

    shape: Literal["constant", "linear", "cosine"] = "constant"
    first: float = 1.0
    """At the first step."""
    last: float = 1.0
    """At the last step; "constant" stays at `first`."""
    start: float = 0.0
    end: float = 1.0
    """The interval with guidance, in fractions of the steps (Kynkäänniemi et al. 2024,
    arXiv:2404.07724); outside it there is none."""

    def __call__(self, step: int, steps: int) -> float:
        """Return the fraction of the guidance at a step, from 0."""
        if not self.start <= step / steps < self.end:
            return 0.0
        t = step / max(steps - 1, 1)
        weights = {"constant": 0.0, "linear": t, "cosine": (1 - math.cos(math.pi * t)) / 2}
        return self.first + (self.last - self.first) * weights[self.shape]


def deviation(x: Tensor) -> Tensor:
    """Return the standard deviation of each image: [batch, 1, …]."""
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)


def _projection(a: Tensor, b: Tensor) -> Tensor:
    """Return the factor that scales b to the projection of a on b: [batch, 1, …]."""
    return _dot(a, b) / _dot(b, b).clamp(min=1e-30)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(tuple(range(1, b.ndim)), keepdim=True)
