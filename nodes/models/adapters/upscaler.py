"""Upscale models: the value of an UPSCALE_MODEL link."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from nodegraph.runtime.device_lane import device_lane
from nodes.models.families.adapters.upscalers import scale_of
from nodes.models.loading.network import Network


@dataclass(frozen=True, slots=True)
class UpscaleModel:
    """A network that enlarges pictures; equal to another by its weights."""

    __socket__: ClassVar = "UPSCALE_MODEL"

    network: Network

    @property
    def scale(self) -> int:
        """The factor by which it makes a picture wider and higher."""
        return scale_of(self.network.spec)

    @torch.no_grad()
    def enlarge(self, picture: Tensor) -> Tensor:
        """Enlarge [batch, 3, h, w] in [0, 1] to [batch, 3, h * scale, w * scale].

        The result is on the model's device; values may lie a little outside [0, 1].
        """
        place, module = self.network.placement, self.network.module()
        with device_lane(place.device):
            made: Tensor = module(picture.to(place.device, place.dtype))
        return made.to(picture.dtype)
