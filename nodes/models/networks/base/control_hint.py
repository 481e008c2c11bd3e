"""The hint of a ControlNet: a picture, as pixels or as a latent."""

from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from nodes.imaging.batch import repeat_batch, repeat_to_batch
from nodes.imaging.resize import resize
from nodes.sampling.conditioning.latents import LatentFormat


class Encoder(Protocol):
    """The encoder of a VAE."""

    @property
    def channels(self) -> int:
        """The number of channels of its latents."""
        ...

    def encode(self, picture: Tensor) -> Tensor:
        """Encode [1, 3, height, width] in [0, 1] to [1, channels, h, w], unscaled."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ControlHint:
    """A picture that a ControlNet follows; no two hints are equal."""

    picture: Tensor
    """[batch, 3, height, width] in [0, 1]."""
    vae: Encoder | None = None
    """The VAE that encodes it, for networks that read latents."""
    mask: Tensor | None = None
    """[batch or 1, 1, height, width] in [0, 1]: 1 where the picture is to be ignored."""
    hidden: float = 0.0
    """The brightness of the masked part, where the picture is encoded."""
    fill: "ControlHint | None" = None
    """A masked picture to fill, for networks that read one beside the picture that they follow."""
    follows: bool = True
    """False if there is no picture but the one to fill."""
    _latents: dict[tuple[int, int], Tensor] = field(default_factory=dict[tuple[int, int], Tensor])
    """The latents of the last size; runs in several threads may share a hint."""

    def pixels(self, height: int, width: int) -> Tensor:
        """Return the picture at a size: [batch, 3, height, width] in [0, 1]."""
        return resize(self.picture, width, height, "nearest-exact", "center")

    def latent(self, height: int, width: int, latents: LatentFormat) -> Tensor:
        """Return [batch, channels, height, width] in the model's space, without the masked part.

        Args:
            height: of the latent.
            width: of the latent.
            latents: the model's format.
        """
        found = self._latents.get((height, width))
        if found is None:
            found = self._encode(height, width, latents)
            self._latents.clear()
            self._latents[height, width] = found
        return found

    def visible_mask(self, height: int, width: int) -> Tensor:
        """Return [batch or 1, 1, height, width]: 1 where the picture counts."""
        assert self.mask is not None, "asked for where there is one"
        return 1 - resize(self.mask, width, height, "bilinear", "center")

    def _encode(self, height: int, width: int, latents: LatentFormat) -> Tensor:
        assert self.vae is not None, "asked for where there is one"
        picture = self.pixels(height * latents.downscale, width * latents.downscale)
        if self.mask is not None:
            visible = self.visible_mask(*picture.shape[-2:]) > 1 / 2
            picture = torch.where(visible, picture, self.hidden)
        each = [self.vae.encode(one) for one in torch.split(picture, 1)]
        return latents.to_model(torch.cat(each))


def per_sample(hint: Tensor, batch: int, chunks: int) -> Tensor:
    """Repeat hints to one a sample: [1 or batch * chunks, …]."""
    if len(hint) == 1:
        return hint
    return repeat_batch(repeat_to_batch(hint, batch), chunks)
