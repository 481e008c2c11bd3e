"""The autoencoder that all families share."""

from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass


class Posterior(Protocol):
    """The distribution that an encoder gives for a picture's latent."""

    mean: Tensor


class Vae(Protocol):
    """The interface of an autoencoder."""

    def encode(self, x: Tensor, return_dict: bool) -> tuple[Posterior]:
        """Encode [batch, 3 or 4, h, w] in [-1, 1] to a distribution over latents."""
        ...

    def decode(self, z: Tensor, return_dict: bool) -> tuple[Tensor]:
        """Decode a latent; values may lie a little outside [-1, 1]."""
        ...


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", AutoencoderKL(**config))

    return build


NETWORK = NetworkClass(
    "vae",
    "VAE",
    builder,
    half_dtype=torch.bfloat16,
    without_bfloat16=torch.float32,  # SDXL's and FLUX.1's numbers are too large for float16
    convolves=True,
)
