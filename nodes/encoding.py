"""Encoding of images: cropping to multiples of the latent pixel, grey masks, VAE calls."""

import torch
from torch import Tensor

from nodegraph.context import Context
from nodes.errors import TooSmallPictureError
from nodes.tiles import split_batch
from nodes.vae_calls import encode_with_fallback
from nodes.weights.handle import VaeHandle


def crop_to_vae(picture: Tensor, vae: VaeHandle) -> Tensor:
    """Crop the centre of [batch, channels, height, width] to a multiple of the VAE's downscale.

    Raises:
        TooSmallPictureError: it is smaller than one latent pixel.
    """
    height, width = picture.shape[-2:]
    step = vae.downscale
    if min(height, width) < step:
        raise TooSmallPictureError(width, height, step)
    top, left = height % step // 2, width % step // 2
    return picture[..., top : top + height // step * step, left : left + width // step * step]


def fill_masked(picture: Tensor, mask: Tensor) -> Tensor:
    """Make an image grey where the mask is 1; [batch, 3, height, width] and [batch or 1, 1, …]."""
    return (picture - 0.5) * (1 - mask) + 0.5


def encode_pictures(pictures: Tensor, vae: VaeHandle, ctx: Context) -> Tensor:
    """Encode [batch, 3, height, width] in [0, 1] to latents, one at a time; unscaled."""
    latents: list[Tensor] = []
    for picture in split_batch(pictures):
        ctx.check_cancelled()
        latents.append(encode_with_fallback(vae, picture, ctx))
    return torch.cat(latents)
