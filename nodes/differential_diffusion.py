"""Masks that say how much changes, not only where (Levin & Fried 2023, arXiv:2306.00950)."""

from dataclasses import dataclass, replace
from typing import Annotated

from pydantic import Field
from torch import Tensor

from nodegraph.define import node
from nodegraph.markers import Optional, Step
from nodes.weights.handle import ModelHandle


@dataclass(frozen=True, slots=True)
class Differential:
    """Lets a pixel change from the moment on when less noise is left than its mask says."""

    strength: float = 1.0
    """1 is that, 0 the mask as it is."""

    def __call__(self, mask: Tensor, left: float) -> Tensor:
        """The mask where `left`, from 1 to 0, of the denoising is left."""
        open_now = (mask >= left).to(mask)
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
    """Let grey in a latent's mask mean how much may change: the darker, the less.

    White changes from the first step on, mid-grey from half of the denoising on, black never.
    With a `strength` below 1, so much of the mask itself is blended in.
    """
    return replace(model, guiding=replace(model.guiding, masking=Differential(strength)))
