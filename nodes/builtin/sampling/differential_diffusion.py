"""Differential diffusion: masks that set how much changes (Levin & Fried, arXiv:2306.00950)."""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Optional, Step
from nodegraph.definition.node import node
from nodes.models.loading.handles import ModelHandle


@dataclass(frozen=True, slots=True)
class Differential:
    """A denoise mask function: a pixel changes once less denoising remains than its mask value."""

    strength: float = 1.0
    """The strength of the effect, from 0 (none) to 1 (full)."""

    def __call__(self, mask: Tensor, remaining: float) -> Tensor:
        """Return the mask for a step; `remaining` is the fraction of the denoising still to do."""
        open_now = (mask >= remaining).to(mask)
        return self.strength * open_now + (1 - self.strength) * mask


@node(
    "DifferentialDiffusion",
    category="_for_testing",
    display_name="Differential Diffusion",
    experimental=True,
)
def differential_diffusion(
    model: ModelHandle,
    strength: Annotated[float, Field(ge=0.0, le=1.0), Step(0.01), Optional()] = 1.0,
) -> ModelHandle:
    """Use grey values in a latent's mask as amounts of change: the darker, the less.

    White changes from the first step on, mid-grey from half of the denoising on, black never.
    With a `strength` below 1, the mask's own values are blended in.
    """
    return replace(
        model, guidance=replace(model.guidance, denoise_mask_function=Differential(strength))
    )
