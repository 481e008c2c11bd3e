"""Self-attention guidance: away from a prediction whose most attended places were blurred.

Hong et al. 2023, arXiv:2210.00939, section 4: the negative prediction's x0 is blurred where the
network attends to most, noise is added again, and the network predicts from there. The difference
is added to the guidance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from nodes.imaging.filters import gaussian_blur
from nodes.sampling.conditioning.cond import Alteration

_RADIUS = 4
"""The pixels that the blur reaches to each side; more than a mean share of attention counts."""
_MEAN_SHARE = 1.0


class AttentionWatch(Alteration, Protocol):
    """A change of a network that notes what it attends to."""

    def take(self) -> list[Tensor]:
        """Return a map for each call since last time, [rows, 1, height, width]; 1 is the mean."""
        ...


@dataclass(frozen=True, slots=True)
class SelfAttentionGuidance:
    """The settings of self-attention guidance."""

    watch: Callable[[], AttentionWatch]
    """Makes the watch of one run."""
    scale: float
    blur_sigma: float
    """The standard deviation of the blur, in latent pixels; 0 is none."""

    def degrade(self, x0: Tensor, attended: Tensor) -> Tensor:
        """Return a prediction that is blurred where attention is above the mean.

        Args:
            x0: [batch, channels, height, width].
            attended: [batch, 1, height, width], where 1 is the mean.
        """
        if not self.blur_sigma:
            return x0
        blurred = gaussian_blur(x0, _RADIUS, self.blur_sigma, mode="mirror")
        return torch.where(attended > _MEAN_SHARE, blurred, x0)


def attended_rows(maps: Sequence[Tensor], sizes: Sequence[Sequence[int]]) -> list[Tensor]:
    """Return the maps of several calls at the size of their latents, by the nearest place.

    Args:
        maps: one for each call.
        sizes: the height and width of each call's latent.
    """
    pairs = zip(maps, sizes, strict=True)
    return [functional.interpolate(each, tuple(size), mode="nearest") for each, size in pairs]
