"""The autoencoder of FLUX.2, whose latents are squares of four pixels, normed by channel."""

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.components.vaes.pixel_space import Exactly

_PATCH = 2
"""The latent pixels that are one of the model's, each way."""


class ChannelStatistics(nn.Module):
    """The mean and the variance of each channel over the pictures of training.

    Args:
        channels: of the latents.
        eps: added to the variances.
    """

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.running_mean: Tensor
        self.running_var: Tensor
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def normalize(self, latent: Tensor) -> Tensor:
        """Return latents with a mean of 0 and a deviation of 1: [batch, channels, h, w]."""
        return (latent - self._mean) / self._deviation

    def restore(self, latent: Tensor) -> Tensor:
        """Return normalized latents as they were."""
        return latent * self._deviation + self._mean

    @property
    def _mean(self) -> Tensor:
        return self.running_mean[:, None, None]

    @property
    def _deviation(self) -> Tensor:
        return (self.running_var + self.eps).sqrt()[:, None, None]


@cache
def builder() -> Build:
    """Return the function that builds the network, whose class is made once."""
    from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

    class NormedVae(AutoencoderKLFlux2):
        """Takes and gives the model's latents; see `nodes.models.networks.components.vaes.vae.Vae`.

        In diffusers the pipelines norm latents.
        """

        bn: ChannelStatistics

        def encode(  # pyright: ignore[reportIncompatibleMethodOverride]: as the protocol has it
            self, x: Tensor, return_dict: bool = True
        ) -> tuple[Exactly]:
            """Encode [batch, 3, h, w] in [-1, 1] to the mean of [batch, channels, h/16, w/16]."""
            del return_dict
            mean, _ = self._encode(x).chunk(2, dim=1)
            return (Exactly(self.bn.normalize(functional.pixel_unshuffle(mean, _PATCH))),)

        def decode(  # pyright: ignore[reportIncompatibleMethodOverride]: as above
            self, z: Tensor, return_dict: bool = True
        ) -> tuple[Tensor]:
            """Decode a latent; values may lie a little outside [-1, 1]."""
            del return_dict
            latent = functional.pixel_shuffle(self.bn.restore(z), _PATCH)
            (picture,) = cast("tuple[Tensor]", self._decode(latent, return_dict=False))
            return (picture,)

    def build(config: dict[str, Any]) -> nn.Module:
        made = cast("Any", NormedVae(**config))
        made.bn = ChannelStatistics(made.bn.num_features, made.bn.eps)
        return cast("nn.Module", made)

    return build


NETWORK = NetworkClass(
    "flux2_vae",
    "VAE",
    builder,
    half_dtype=torch.bfloat16,
    without_bfloat16=torch.float32,
    convolves=True,
)
