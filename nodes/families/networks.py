"""Build the networks that a spec describes, without weights; and what is asked of them.

diffusers and transformers enter here and nowhere else, by their model classes' own modules.
"""

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from nodes.families.family import NetworkSpec


class UNet(Protocol):
    """What a denoising U-Net offers."""

    def __call__(
        self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, *, return_dict: bool
    ) -> tuple[Tensor]:
        """One forward pass: the prediction, shaped as `sample` but for its channels."""
        ...


class Posterior(Protocol):
    """The distribution that an encoder gives for a picture's latent."""

    mean: Tensor


class Vae(Protocol):
    """What an autoencoder offers."""

    def encode(self, x: Tensor, return_dict: bool) -> tuple[Posterior]:
        """[batch, 3, h, w] in [-1, 1] to a distribution over [batch, channels, h/8, w/8]."""
        ...

    def decode(self, z: Tensor, return_dict: bool) -> tuple[Tensor]:
        """The way back; values may lie a little outside [-1, 1]."""
        ...


class ClipEmbeddings(Protocol):
    """The first stage of a CLIP text encoder."""

    token_embedding: nn.Embedding
    position_embedding: nn.Embedding


class ClipEncoder(Protocol):
    """Its layers."""

    layers: nn.ModuleList


class Clip(Protocol):
    """The parts of a CLIP text encoder, which are driven one by one.

    transformers' own forward takes no embeddings, and runs every layer.
    """

    embeddings: ClipEmbeddings
    encoder: ClipEncoder
    final_layer_norm: nn.LayerNorm


Build = Callable[[dict[str, Any]], nn.Module]


def skeleton(spec: NetworkSpec) -> nn.Module:
    """The network on the meta device: every shape, no memory."""
    build = _BUILDERS[spec.kind]()  # imports first: what they make must not be on that device
    with torch.device("meta"):
        return build(dict(spec.config)).eval().requires_grad_(False)


def _unet() -> Build:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return lambda config: cast("nn.Module", UNet2DConditionModel(**config))


def _vae() -> Build:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return lambda config: cast("nn.Module", AutoencoderKL(**config))


def _clip() -> Build:
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel

    def build(config: dict[str, Any]) -> nn.Module:
        model = cast("nn.Module", CLIPTextModel(CLIPTextConfig(**config)))
        embeddings = cast("nn.Module", model.embeddings)
        del embeddings.position_ids  # a buffer that no file has; positions are always all of them
        return model

    return build


_BUILDERS: dict[str, Callable[[], Build]] = {"unet": _unet, "vae": _vae, "clip": _clip}
