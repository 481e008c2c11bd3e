"""Writes diffusers' networks under the keys of an original Stable Diffusion 1.x checkpoint."""

from collections.abc import Mapping

from torch import Tensor

from nodes.models.families.base.encoder_keys import clip_table
from nodes.models.families.base.ldm_keys import unet_table, vae_table
from nodes.models.families.denoisers.unets.sd15 import TEXT_PREFIX
from nodes.models.weights.key_convert import export


def to_original_layout(
    unet: Mapping[str, Tensor], vae: Mapping[str, Tensor], text: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return three networks' state dicts as the tensors of one file in the original layout.

    Args:
        unet: of a `diffusers.UNet2DConditionModel`.
        vae: of a `diffusers.AutoencoderKL`.
        text: of a `transformers.CLIPTextModel` (5 or newer).

    Returns:
        Contiguous tensors by their keys in the file; dtypes as given.
    """
    return {
        **export(unet_table(unet), unet),
        **export(vae_table(vae), vae),
        **export(clip_table(text, TEXT_PREFIX), text),
    }
