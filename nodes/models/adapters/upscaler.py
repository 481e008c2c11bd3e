"""Upscale models as they travel along links."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nodes.models.families.adapters.upscalers import scale_of
from nodes.models.loading.network import Network


@dataclass(frozen=True, slots=True)
class UpscaleModel:
    """A network that enlarges pictures; equal to another by its weights."""

    __socket__: ClassVar = "UPSCALE_MODEL"

    network: Network

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.network.nbytes()

    @property
    def scale(self) -> int:
        """How many times as wide and high it makes a picture."""
        return scale_of(self.network.spec)

    @torch.no_grad()
    def enlarge(self, picture: Tensor) -> Tensor:
        """[batch, 3, h, w] in [0, 1] to [batch, 3, h * scale, w * scale], a little beyond too."""
        place = self.network.placement
        made: Tensor = self.network.module()(picture.to(place.device, place.dtype))
        return made.to(picture)
