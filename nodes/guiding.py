"""What a model says about its guidance: how predictions are combined, before, after and how much.

Guidance nodes patch a `Guiding` onto the model, so that every way of sampling honours it.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from torch import Tensor

from nodes.values import Alteration, Conditioning

Cfg: TypeAlias = float | Tensor
"""How far beyond the negative prediction to go; as a tensor, [batch], one an image."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """What a guidance rule combines; [batch, channels, h, w] each."""

    x: Tensor
    sigma: Tensor
    """A scalar, or [batch]."""
    cond: Tensor
    uncond: Tensor
    cfg: Cfg
    """A number, or [batch, 1, 1, 1]."""
    others: tuple[Tensor, ...] = ()
    """The predictions for `Guiding.extras`."""
    memory: MutableMapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    """What a rule keeps from one call of a run to the next, by a name of its own."""


Rule: TypeAlias = Callable[[Terms], Tensor]
"""How the predictions become one x0."""
Preparation: TypeAlias = Callable[[Terms], Terms]
"""What is done to the predictions before they are combined."""
Correction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x, guided x0) to a better x0; [batch, channels, h, w] each."""
Share: TypeAlias = Callable[[int, int], float]
"""(step, steps) to how much of the guidance holds there: 1 is all, 0 none."""


Masking: TypeAlias = Callable[[Tensor, float], Tensor]
"""(a latent's mask, how much of the denoising is left, 1 to 0) to the mask that holds then."""


@dataclass(frozen=True, slots=True)
class Weakened:
    """What a network that is hampered makes of the positive prompt: guidance leads away from it."""

    alteration: Alteration
    scale: float
    start: float = 0.0
    end: float = 1.0
    """The part of the schedule it holds for, as a fraction."""
    rescale: float = 0.0
    """How far to scale what all guidance gave to the deviation of the positive prediction."""

    def lead(self, guided: Tensor, cond: Tensor, weak: Tensor) -> Tensor:
        """From the weak prediction towards the positive one, on top of the guidance."""
        led = guided + (cond - weak) * self.scale
        if not self.rescale:
            return led
        factor = deviation(cond) / deviation(led)
        return led * (self.rescale * factor + (1.0 - self.rescale))


@dataclass(frozen=True, slots=True)
class Hampered:
    """What changes the network for negative conditions, in a part of the schedule."""

    alteration: Alteration
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class Reuse:
    """When a step goes without the model; see `nodes.reuse`."""

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


def classifier_free(terms: Terms) -> Tensor:
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, eq. 6)."""
    return terms.uncond + (terms.cond - terms.uncond) * terms.cfg


@dataclass(frozen=True, slots=True, eq=False)
class Guiding:
    """Everything that guidance nodes say; the last rule counts, the rest adds up."""

    rule: Rule = classifier_free
    extras: tuple[Conditioning, ...] = ()
    """What the model is asked besides the positive and the negative, for the rule's sake."""
    always: bool = False
    """Whether the rule needs every prediction even where the guidance is 1."""
    before: tuple[Preparation, ...] = ()
    after: tuple[Correction, ...] = ()
    share: Share | None = None
    masking: Masking | None = None
    """What becomes of a latent's mask; the last counts."""
    weakened: tuple[Weakened, ...] = ()
    hampered: tuple[Hampered, ...] = ()
    reuse: Reuse | None = None

    def ruled(self, rule: Rule, *extras: Conditioning, always: bool = False) -> "Guiding":
        """With another rule."""
        return replace(self, rule=rule, extras=extras, always=always)

    def cfg_at(self, cfg: Cfg, step: int, steps: int) -> Cfg:
        """The guidance of one step: its part above 1, as much of it as holds there."""
        if self.share is None:
            return cfg
        share = self.share(step, steps)
        return cfg if share == 1.0 else 1.0 + (cfg - 1.0) * share

    def combine(self, terms: Terms) -> Tensor:
        """The predictions as one x0, not yet corrected."""
        for prepare in self.before:
            terms = prepare(terms)
        return self.rule(terms)

    def correct(self, x: Tensor, x0: Tensor) -> Tensor:
        """The guided x0 as the corrections make it."""
        for correction in self.after:
            x0 = correction(x, x0)
        return x0


PLAIN = Guiding()
"""Classifier-free guidance and nothing else."""
