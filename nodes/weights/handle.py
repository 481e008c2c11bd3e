"""What travels along MODEL, CLIP and VAE links: which weights, and what is patched onto them.

Handles are values: cheap, immutable, equal by content. The weights behind them are shared.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor

from nodes.families.networks import Clip, UNet, Vae
from nodes.parameterisation import Parameterisation
from nodes.text.embeddings import Embeddings
from nodes.text.encoder import Encoded, encode
from nodes.text.sections import PromptReader
from nodes.values import CondBatch, LatentFormat
from nodes.weights.checkpoint import Checkpoint
from nodes.weights.network import Patch


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A denoising network; satisfies `nodes.denoiser.Denoiser`."""

    __socket__: ClassVar = "MODEL"

    checkpoint: Checkpoint
    patches: tuple[Patch, ...] = ()
    sampling: Parameterisation | None = None
    """Stands in for the checkpoint's own."""

    @property
    def parameterisation(self) -> Parameterisation:
        """How noise is added, and which levels of it the model was trained on."""
        return self.sampling or self.checkpoint.parameterisation

    @property
    def latent_format(self) -> LatentFormat:
        """How its latents relate to the VAE's."""
        return self.checkpoint.latent_format

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.checkpoint.unet.nbytes(self.patches)

    def patched(self, patch: Patch) -> "ModelHandle":
        """With one more patch on top."""
        return replace(self, patches=(*self.patches, patch))

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: Tensor, cond: CondBatch) -> Tensor:
        """Predict the clean latent x0: [batch, channels, h, w] float32; see `Denoiser`."""
        network = self.checkpoint.unet
        place = network.placement
        unet = cast("UNet", network.module(self.patches))
        parameterisation = self.parameterisation
        (output,) = unet(
            parameterisation.scale_input(x, sigma).to(place.device, place.dtype),
            parameterisation.timestep(sigma).to(place.device),
            cond.tokens.to(place.device, place.dtype),
            return_dict=False,
        )
        return parameterisation.to_x0(x, sigma, output.to(x))


@dataclass(frozen=True, slots=True)
class ClipHandle:
    """A text encoder and its tokenizer."""

    __socket__: ClassVar = "CLIP"

    checkpoint: Checkpoint
    patches: tuple[Patch, ...] = ()
    layer: int | None = None
    """Which layer's states are read, -1 is the last; None is the family's own choice."""

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.checkpoint.text.nbytes(self.patches)

    def patched(self, patch: Patch) -> "ClipHandle":
        """With one more patch on top."""
        return replace(self, patches=(*self.patches, patch))

    def encode(self, prompt: str, embeddings: Embeddings) -> Encoded:
        """Encode a prompt, weights and all."""
        rules = self.checkpoint.text_rules
        clip = cast("Clip", self.checkpoint.text.module(self.patches))
        width = clip.embeddings.token_embedding.weight.shape[1]
        reader = PromptReader(self.checkpoint.tokenizer, rules, width, embeddings)
        layer = rules.layer if self.layer is None else self.layer
        return encode(clip, reader.sections(prompt), rules, layer)


@dataclass(frozen=True, slots=True)
class VaeHandle:
    """An autoencoder: pictures to latents and back, one picture at a time."""

    __socket__: ClassVar = "VAE"

    checkpoint: Checkpoint

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.checkpoint.vae.nbytes()

    @property
    def downscale(self) -> int:
        """How many pixels a latent pixel stands for, each way."""
        return self.checkpoint.latent_format.downscale

    @property
    def channels(self) -> int:
        """How many channels its latents have."""
        return self.checkpoint.latent_format.channels

    @torch.no_grad()
    def encode(self, picture: Tensor) -> Tensor:
        """The most likely latent of a picture.

        Args:
            picture: [1, 3, height, width] float32 in [0, 1], sides multiples of `downscale`.

        Returns:
            [1, channels, height / downscale, width / downscale] float32, unscaled.
        """
        place = self.checkpoint.vae.placement
        vae = cast("Vae", self.checkpoint.vae.module())
        (posterior,) = vae.encode(
            (picture * 2 - 1).to(place.device, place.dtype), return_dict=False
        )
        return posterior.mean.to(picture)

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """The picture of a latent, the inverse of `encode`; may lie a little outside [0, 1]."""
        place = self.checkpoint.vae.placement
        vae = cast("Vae", self.checkpoint.vae.module())
        (picture,) = vae.decode(latent.to(place.device, place.dtype), return_dict=False)
        return (picture.to(latent) + 1) / 2
