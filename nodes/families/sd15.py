"""Stable Diffusion 1.x: one CLIP text encoder, a U-Net with convolutional projections."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nodes.errors import BadMetadataError
from nodes.families.encoder_keys import clip_table
from nodes.families.encoders import read_text
from nodes.families.family import (
    Architecture,
    DiscreteRules,
    Family,
    LatentRules,
    ModelSpec,
    NetworkSpec,
    Prediction,
    VaeSpec,
)
from nodes.families.ldm import UNET_PREFIX, VAE_PREFIX, unet_table, vae_table
from nodes.families.shapes import preview_rgb, unet_config, vae_config
from nodes.weights.header import Header

if TYPE_CHECKING:  # recognising a file needs no torch
    from torch import Tensor

TEXT_PREFIX = "cond_stage_model.transformer."
_HEADS = 8
_SCALE = 0.18215
_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
    (0.0, 0.0, 0.0),
)
"""A linear fit that the diffusers community made for SD 1.4's latents."""
_PREDICTIONS: Mapping[str, Prediction] = {
    "": "eps",
    "eps": "eps",
    "epsilon": "eps",
    "v": "v",
    "v_prediction": "v",
}


def recognises(header: Header) -> bool:
    """A U-Net of the original layout, convolutional projections, and no pooled text."""
    projection = f"{UNET_PREFIX}middle_block.1.proj_in.weight"
    return (
        f"{UNET_PREFIX}input_blocks.0.0.weight" in header
        and f"{UNET_PREFIX}label_emb.0.0.weight" not in header
        and projection in header
        and len(header.shape(projection)) == 4
    )


def read(header: Header) -> Architecture:
    """The architecture, from the shapes and the metadata's overrides."""
    config = {"attention_head_dim": _HEADS, **unet_config(header, UNET_PREFIX)}
    latent = LatentRules(config["out_channels"], 8, _SCALE, rgb=preview_rgb(header) or _RGB)
    unet = NetworkSpec("unet", "model", config, UNET_PREFIX, unet_table)
    noise = DiscreteRules(prediction(header))
    model = ModelSpec("sd15", unet, latent, noise)
    text = read_text(header, "sd15", {"clip_l": TEXT_PREFIX})
    return Architecture(model, text, _vae(header, latent))


def prediction(header: Header) -> Prediction:
    """What the network predicts, by the metadata's `modelspec.prediction_type`; else noise.

    Raises:
        BadMetadataError: it is something else.
    """
    said = header.metadata.get("modelspec.prediction_type", "")
    if said not in _PREDICTIONS:
        raise BadMetadataError(header.path, f"prediction type is {said!r}")
    return _PREDICTIONS[said]


def _vae(header: Header, latent: LatentRules) -> VaeSpec | None:
    if VAE_PREFIX + "decoder.conv_in.weight" not in header:
        return None
    config = vae_config(header, VAE_PREFIX)
    return VaeSpec(NetworkSpec("vae", "vae", config, VAE_PREFIX, vae_table), latent)


def export(
    unet: "Mapping[str, Tensor]", vae: "Mapping[str, Tensor]", text: "Mapping[str, Tensor]"
) -> "dict[str, Tensor]":
    """Three networks' state dicts as one file in the original layout.

    Args:
        unet: of a `diffusers.UNet2DConditionModel`.
        vae: of a `diffusers.AutoencoderKL`.
        text: of a `transformers.CLIPTextModel` (5 or newer).

    Returns:
        Contiguous tensors by their keys in the file; dtypes as given.
    """
    from nodes.weights.convert import export as convert

    return {
        **convert(unet_table(unet), unet),
        **convert(vae_table(vae), vae),
        **convert(clip_table(text, TEXT_PREFIX), text),
    }


SD15 = Family("sd15", "Stable Diffusion 1.x", recognises, read)
