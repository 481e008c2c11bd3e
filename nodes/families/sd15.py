"""Stable Diffusion 1.x: one CLIP text encoder, a U-Net with convolutional projections."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nodes.families.ldm import clip_table, unet_table, vae_table

if TYPE_CHECKING:  # recognising a file needs no torch
    from torch import Tensor

TEXT_PREFIX = "cond_stage_model.transformer."


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
