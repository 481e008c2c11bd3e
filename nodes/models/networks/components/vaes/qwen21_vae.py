"""The autoencoder of Qwen-Image 2.1, whose pictures have an alpha channel."""

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.components.vaes.pixel_space import Exactly
from nodes.models.residency.units import Parts


@cache
def builder() -> Build:
    """Return the function that builds the network, whose class is made once."""
    from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

    class PictureVae(AutoencoderKLQwenImage21):
        """Takes and gives pictures; see `nodes.models.networks.components.vaes.vae.Vae`.

        Nothing is kept between frames, of which there is one, and the convolutions over time
        alone (`time_conv`) are not called.
        """

        encoder: nn.Module
        decoder: nn.Module
        quant_conv: nn.Module
        post_quant_conv: nn.Module

        def encode(  # pyright: ignore[reportIncompatibleMethodOverride]: of pictures, not videos
            self, x: Tensor, return_dict: bool = True
        ) -> tuple[Exactly]:
            """Encode [batch, 4, h, w] in [-1, 1] to the mean of [batch, channels, h/16, w/16]."""
            del return_dict
            moments = cast("Tensor", self.quant_conv(self.encoder(x.unsqueeze(2))))
            mean, _ = moments.squeeze(2).chunk(2, dim=1)
            return (Exactly(mean),)

        def decode(  # pyright: ignore[reportIncompatibleMethodOverride]: as above
            self, z: Tensor, return_dict: bool = True
        ) -> tuple[Tensor]:
            """Decode a latent to [batch, 4, h, w]; values may lie a little outside [-1, 1]."""
            del return_dict
            frames = self.decoder(self.post_quant_conv(z.unsqueeze(2)), first_chunk=True)
            return (cast("Tensor", frames).squeeze(2),)

    def build(config: dict[str, Any]) -> nn.Module:
        return cast("nn.Module", PictureVae(**config))

    return build


NETWORK = NetworkClass(
    "qwen21_vae",
    "VAE",
    builder,
    half_dtype=torch.bfloat16,
    without_bfloat16=torch.float32,
    parts=Parts(uncalled=("*time_conv",)),
)
