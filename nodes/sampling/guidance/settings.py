"""The settings of guidance that a model carries: the rule, and what comes before and after it.

Guidance nodes patch `GuidanceSettings` onto the model, so that every way of sampling honours it.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import Tensor

from nodes.sampling.conditioning.cond import Alteration, Conditioning

Cfg: TypeAlias = float | Tensor
"""How far beyond the negative prediction to go; as a tensor, [batch], one an image."""


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
    others: tuple[Tensor, ...] = ()
    """The predictions for `GuidanceSettings.extras`."""
    memory: MutableMapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """What a rule keeps from one call of a run to the next, by a name of its own."""


Rule: TypeAlias = Callable[[GuidanceInputs], Tensor]
"""Combines the predictions into one x0."""
Preparation: TypeAlias = Callable[[GuidanceInputs], GuidanceInputs]
"""Changes the predictions before they are combined."""
Correction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x, guided x0) to a better x0; [batch, channels, h, w] each."""
Share: TypeAlias = Callable[[int, int], float]
"""(step, steps) to how much of the guidance holds there: 1 is all, 0 none."""


Masking: TypeAlias = Callable[[Tensor, float], Tensor]
"""(a latent's mask, how much of the denoising is left, 1 to 0) to the mask that holds then."""


@dataclass(frozen=True, slots=True)
class PerturbedGuidance:
    """Guidance away from what a perturbed network makes of the positive prompt.

    Ahn et al. 2024, arXiv:2403.17377: perturbed-attention guidance; skip-layer guidance likewise.
    """

    alteration: Alteration
    scale: float
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, as a fraction."""
    rescale: float = 0.0
    """How far to scale what all guidance gave to the deviation of the positive prediction."""

    def lead(self, guided: Tensor, cond: Tensor, perturbed: Tensor) -> Tensor:
        """Go from the perturbed prediction towards the positive one, on top of the guidance."""
        led = guided + (cond - perturbed) * self.scale
        if not self.rescale:
            return led
        factor = deviation(cond) / deviation(led)
        return led * (self.rescale * factor + (1.0 - self.rescale))


@dataclass(frozen=True, slots=True)
class UncondModifier:
    """A change of the network for the negative conditions, in a part of the schedule."""

    alteration: Alteration
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class StepCache:
    """The settings of a cache that answers some steps without the model; see `step_cache`."""

    threshold: float
    """The relative error that may add up before the model is asked again."""
    start: float
    end: float
    """The part of the schedule it holds for, as a fraction."""
    verbose: bool = False
    """Whether skipped steps are logged."""
    guided: bool = False
    """Whether the guided answer is repeated as a whole, not the answer to each condition."""


def deviation(x: Tensor) -> Tensor:
    """The standard deviation, image by image: [batch, 1, …]."""
    return x.std(dim=tuple(range(1, x.ndim)), keepdim=True)


def classifier_free(terms: GuidanceInputs) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, eq. 6)."""
    return terms.uncond + (terms.cond - terms.uncond) * terms.cfg


@dataclass(frozen=True, slots=True, eq=False)
class GuidanceSettings:
    """The settings that guidance nodes make; the last rule counts, the rest adds up."""

    rule: Rule = classifier_free
    extras: tuple[Conditioning, ...] = ()
    """Conditions that the rule needs predictions for, besides the positive and the negative."""
    always: bool = False
    """Whether the rule needs every prediction even where the guidance is 1."""
    before: tuple[Preparation, ...] = ()
    after: tuple[Correction, ...] = ()
    share: Share | None = None
    masking: Masking | None = None
    """Changes a latent's mask from step to step; the last counts."""
    perturbed: tuple[PerturbedGuidance, ...] = ()
    uncond_modifiers: tuple[UncondModifier, ...] = ()
    step_cache: StepCache | None = None

    def with_rule(
        self, rule: Rule, *extras: Conditioning, always: bool = False
    ) -> "GuidanceSettings":
        """Return the settings with another rule."""
        return replace(self, rule=rule, extras=extras, always=always)

    def cfg_at(self, cfg: Cfg, step: int, steps: int) -> Cfg:
        """The guidance of one step: its part above 1, as much of it as holds there."""
        if self.share is None:
            return cfg
        share = self.share(step, steps)
        return cfg if share == 1.0 else 1.0 + (cfg - 1.0) * share

    def combine(self, terms: GuidanceInputs) -> Tensor:
        """The predictions as one x0, not yet corrected."""
        for prepare in self.before:
            terms = prepare(terms)
        return self.rule(terms)

    def correct(self, x: Tensor, x0: Tensor) -> Tensor:
        """The guided x0 as the corrections make it."""
        for correction in self.after:
            x0 = correction(x, x0)
        return x0


PLAIN = GuidanceSettings()
"""Classifier-free guidance and nothing else."""
