"""The settings of guidance: the rule (see `rules`), and functions that run before and after it.

Guidance nodes put a `GuidanceSettings` on the model, so that every way of sampling honours it. At
each call of a sampler `planner` gets the predictions, and from these the settings make one x0:
`pre_cfg` functions change them, the `rule` combines them (classifier-free guidance if no node set
another), `PerturbedGuidance` is added, and `post_cfg` functions correct the result.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from torch import Tensor

from nodes.sampling.conditioning.cond import Alteration, Conditioning
from nodes.sampling.guidance.rules import (
    Cfg,
    CfgNorm,
    GuidanceInputs,
    Rule,
    classifier_free_guidance,
    deviation,
)
from nodes.sampling.guidance.self_attention import SelfAttentionGuidance

PreCfg: TypeAlias = Callable[[GuidanceInputs], GuidanceInputs]
"""Changes the predictions before they are combined, as ComfyUI's `sampler_pre_cfg_function`."""
PostCfg: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x, guided x0) to a better x0; [batch, channels, h, w] each (`sampler_post_cfg_function`)."""
CfgSchedule: TypeAlias = Callable[[int, int], float]
"""(step, steps) to the fraction of the guidance that is used there, from 0 to 1."""
DenoiseMaskFunction: TypeAlias = Callable[[Tensor, float], Tensor]
"""(a latent's mask, the fraction of the denoising still to do, 1 to 0) to the mask to use then."""


@dataclass(frozen=True, slots=True)
class PerturbedGuidance:
    """Guidance away from a perturbed network's prediction for the positive prompt.

    Ahn et al. 2024, arXiv:2403.17377: perturbed-attention guidance; skip-layer guidance likewise.
    """

    alteration: Alteration
    scale: float
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, as a fraction."""
    rescale: float = 0.0
    """The amount, from 0 to 1, of rescaling to the positive prediction's standard deviation."""

    def apply(self, guided: Tensor, cond: Tensor, perturbed: Tensor) -> Tensor:
        """Return `guided` moved further, along the way from the perturbed to the positive x0."""
        moved = guided + (cond - perturbed) * self.scale
        if not self.rescale:
            return moved
        factor = deviation(cond) / deviation(moved)
        return moved * (self.rescale * factor + (1.0 - self.rescale))


@dataclass(frozen=True, slots=True)
class UncondModifier:
    """A change of the network for the negative conditions, in a part of the schedule."""

    alteration: Alteration
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class CfgOverride:
    """Another guidance scale than the sampler's, in a part of the schedule."""

    cfg: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class StepCacheSettings:
    """The settings of a cache that answers some steps without the model; see `step_cache`."""

    threshold: float
    """The relative error that may add up before the model is asked again."""
    start: float
    end: float
    """The part of the schedule it holds for, as a fraction."""
    verbose: bool = False
    """Log the steps that are skipped."""
    guided: bool = False
    """Repeat the guided x0 (ComfyUI's LazyCache) instead of each condition's prediction."""


@dataclass(frozen=True, slots=True, eq=False)
class GuidanceSettings:
    """The settings that guidance nodes make.

    A later node replaces the rule, the schedule, the mask function, the step cache and the guidance
    by self-attention of an earlier one; the others add up.
    """

    rule: Rule = classifier_free_guidance
    extras: tuple[Conditioning, ...] = ()
    """Conditions that the rule needs predictions for, besides the positive and the negative."""
    disable_cfg1_optimization: bool = False
    """Ask for every prediction even where the guidance is 1 and only the positive one counts."""
    pre_cfg: tuple[PreCfg, ...] = ()
    post_cfg: tuple[PostCfg, ...] = ()
    norms: tuple[CfgNorm, ...] = ()
    """Bring the guided x0 to the length that the positive one has."""
    cfg_schedule: CfgSchedule | None = None
    """The schedule of the guidance; None uses all of it at every step."""
    cfg_overrides: tuple[CfgOverride, ...] = ()
    """Other scales in parts of the schedule, whatever it says; the last one counts."""
    denoise_mask_function: DenoiseMaskFunction | None = None
    """Changes a latent's mask from step to step."""
    perturbed: tuple[PerturbedGuidance, ...] = ()
    uncond_modifiers: tuple[UncondModifier, ...] = ()
    step_cache: StepCacheSettings | None = None
    self_attention: SelfAttentionGuidance | None = None
    """Guidance away from a blurred prediction, which needs the negative one in any case."""

    def with_rule(
        self, rule: Rule, *extras: Conditioning, disable_cfg1_optimization: bool = False
    ) -> "GuidanceSettings":
        """Return the settings with another rule."""
        return replace(
            self, rule=rule, extras=extras, disable_cfg1_optimization=disable_cfg1_optimization
        )

    def cfg_at(self, cfg: Cfg, step: int, steps: int) -> Cfg:
        """Return the guidance of one step: the schedule scales the part of it above 1."""
        if self.cfg_schedule is None:
            return cfg
        fraction = self.cfg_schedule(step, steps)
        return cfg if fraction == 1.0 else 1.0 + (cfg - 1.0) * fraction

    def combine(self, inputs: GuidanceInputs) -> Tensor:
        """Return the predictions combined to one x0, not yet corrected."""
        for prepare in self.pre_cfg:
            inputs = prepare(inputs)
        return self.rule(inputs)

    def correct(self, x: Tensor, x0: Tensor, cond: Tensor) -> Tensor:
        """Return the guided x0 after all corrections; `cond` is the positive one."""
        for norm in self.norms:
            x0 = norm.apply(x, x0, cond)
        for correct in self.post_cfg:
            x0 = correct(x, x0)
        return x0


PLAIN = GuidanceSettings()
"""Classifier-free guidance and nothing else."""
