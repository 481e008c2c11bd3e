"""The autoencoder that does nothing, for models whose latents are pictures."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass


@dataclass(frozen=True, slots=True, eq=False)
class Exactly:
    """A posterior that is one point."""

    mean: Tensor


class Pixels(nn.Module):
    """The identity as an autoencoder; see `nodes.models.networks.components.vaes.vae.Vae`."""

    def encode(self, x: Tensor, return_dict: bool = True) -> tuple[Exactly]:
        """Return the picture itself, [batch, 3, h, w] in [-1, 1]."""
        del return_dict
        return (Exactly(x),)

    def decode(self, z: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        """Return the latent itself."""
        del return_dict
        return (z,)


def builder() -> Build:
    """Return the function that builds the network."""

    def build(config: dict[str, Any]) -> nn.Module:
        return Pixels(**config)

    return build


NETWORK = NetworkClass("pixels", "VAE", builder, half_dtype=torch.float32, saved=False)
