"""What a network that steers another is shown: a picture, by its pixels or as a latent."""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from nodes.imaging.resize import resize
from nodes.sampling.conditioning.latents import LatentFormat


class Encoder(Protocol):
    """A VAE's way in."""

    @property
    def channels(self) -> int:
        """How many channels its latents have."""
        ...

    def encode(self, picture: Tensor) -> Tensor:
        """From [1, 3, height, width] in [0, 1] to [1, channels, h, w], unscaled."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Hint:
    """A picture to go by; two of them are never equal."""

    picture: Tensor
    """[batch, 3, height, width] in [0, 1]."""
    vae: Encoder | None = None
    """What makes latents of it, for networks that read such."""
    mask: Tensor | None = None
    """[batch or 1, 1, height, width] in [0, 1]: 1 is where the picture says nothing."""
    _latents: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])
    """What was made of it, by size."""

    def pixels(self, height: int, width: int) -> Tensor:
        """[batch, 3, height, width] in [0, 1]."""
        return resize(self.picture, width, height, "nearest-exact", "center")

    def latent(self, height: int, width: int, latents: LatentFormat) -> Tensor:
        """[batch, channels, height, width] in the model's space, the masked part black.

        Args:
            height: of the latent.
            width: of the latent.
            latents: how they relate to the VAE's.
        """
        if (height, width) not in self._latents:
            self._latents.clear()
            self._latents[height, width] = self._encoded(height, width, latents)
        return self._latents[height, width]

    def kept(self, height: int, width: int) -> Tensor:
        """[batch or 1, 1, height, width]: 1 where the picture says something."""
        assert self.mask is not None, "asked for where there is one"
        return 1 - resize(self.mask, width, height, "bilinear", "center")

    def _encoded(self, height: int, width: int, latents: LatentFormat) -> Tensor:
        assert self.vae is not None, "asked for where there is one"
        picture = self.pixels(height * latents.downscale, width * latents.downscale)
        if self.mask is not None:
            picture = picture * (self.kept(*picture.shape[-2:]) > 1 / 2)
        each = [self.vae.encode(one) for one in torch.split(picture, 1)]
        return latents.to_model(torch.cat(each))


def per_sample(hint: Tensor, batch: int, chunks: int) -> Tensor:
    """One hint a sample, as often as need be: [1 or batch * chunks, …]."""
    if len(hint) == 1:
        return hint
    each = hint.repeat(math.ceil(batch / len(hint)), *[1] * (hint.ndim - 1))[:batch]
    return each.repeat(chunks, *[1] * (hint.ndim - 1))
