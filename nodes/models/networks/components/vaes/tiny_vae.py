"""TAESD: small autoencoders that stand in for large ones (https://github.com/madebyollin/taesd).

They work on the model's latents; here they are converted to and from the VAE's, as for any VAE.
"""

from typing import Any

import torch
from torch import Tensor, nn

from nodes.models.networks.base.builder import Build, NetworkClass
from nodes.models.networks.components.vaes.pixel_space import Exactly

ENCODER_BLOCKS = (1, 3, 3, 3)
DECODER_BLOCKS = (3, 3, 3, 1)


class TinyVae(nn.Module):
    """A TAESD as an autoencoder; see `nodes.models.networks.components.vaes.vae.Vae`.

    Args:
        encoder: from pictures in [-1, 1] to the model's latents, if there is one.
        decoder: from the model's latents to pictures.
        scale: the model's latents are (the VAE's - `shift`) * `scale`.
        shift: see `scale`.
    """

    def __init__(
        self, encoder: nn.Module | None, decoder: nn.Module, scale: float, shift: float
    ) -> None:
        super().__init__()
        self.scale = scale
        self.shift = shift
        if encoder is not None:
            self.encoder = encoder
        self.decoder = decoder

    def encode(self, x: Tensor, return_dict: bool = True) -> tuple[Exactly]:
        """Encode [batch, 3, h, w] in [-1, 1] to [batch, channels, h / 8, w / 8]."""
        del return_dict
        latent: Tensor = self.encoder(x)
        return (Exactly(latent / self.scale + self.shift),)

    def decode(self, z: Tensor, return_dict: bool = True) -> tuple[Tensor]:
        """Decode a latent; values may lie a little outside [-1, 1]."""
        del return_dict
        return (self.decoder((z - self.shift) * self.scale),)


def builder() -> Build:
    """Return the function that builds the network."""
    from diffusers.models.autoencoders.vae import DecoderTiny, EncoderTiny

    def build(config: dict[str, Any]) -> nn.Module:
        channels, levels = config["latent_channels"], len(DECODER_BLOCKS)
        widths = (config["width"],) * levels
        encoder = None
        if config["encodes"]:
            encoder = EncoderTiny(3, channels, ENCODER_BLOCKS, widths, "relu")
        decoder = DecoderTiny(channels, 3, DECODER_BLOCKS, widths, 2, "relu", "nearest")
        return TinyVae(encoder, decoder, config["scale"], config["shift"])

    return build


NETWORK = NetworkClass(
    "tiny_vae", "VAE", builder, half_dtype=torch.bfloat16, convolves=True, saved=False
)
