"""The concat conditioning (`c_concat`): a picture and a mask as further channels of the latent.

Models for inpainting read the picture without its masked part, and the mask. U-Nets read the mask
as one channel, before the picture (Rombach et al., `inpaint.py` of the original code); FLUX.1 Fill
reads it as the 64 pixels that a latent pixel stands for, after the picture. Models that follow
instructions (Brooks et al. 2022, arXiv:2211.09800) and FLUX.1's for edges and depth read the
picture alone.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nodes.imaging.batch import repeat_to_batch
from nodes.imaging.resize import resize
from nodes.models.networks.base.errors import (
    ChannelMismatchError,
    MissingInputError,
    UnknownConcatError,
)
from nodes.sampling.conditioning.cond import ConcatLatent
from nodes.sampling.conditioning.latents import LatentFormat

_MASK = 1
_GREY = (0.8223, -0.6876, 0.6364, 0.1380)
"""Middle grey in the latent space of SD's VAE, in the model's scale."""


def concat_input(
    concat: ConcatLatent | None,
    extra: int,
    size: tuple[int, int],
    latents: LatentFormat,
    *,
    raw: bool,
) -> Tensor | None:
    """Return what a network reads with a latent: [batch or 1, extra, height, width].

    A model for inpainting that is given nothing reads an empty picture and a mask of all of it, so
    that it paints the whole image, as in ComfyUI.

    Args:
        concat: the workflow's picture and mask.
        extra: the number of channels that the network reads beyond the latent's; 0 for most.
        size: height and width of the latent.
        latents: the model's.
        raw: True if it reads a picture without a mask in the VAE's space.

    Raises:
        MissingInputError: the network reads a picture, and the workflow gives none; or no mask.
        ChannelMismatchError: the workflow gives a picture of other channels.
        UnknownConcatError: the network reads something that is not known here.
    """
    if extra <= 0:
        return None
    given = _fitting(concat, extra, latents)
    picture = resize(given.latent, size[1], size[0], "bilinear", "center")
    if extra == latents.channels:
        return picture if raw else latents.to_model(picture)
    mask = _required_mask(given)
    picture = latents.to_model(picture)
    if extra == latents.channels + _MASK:
        mask = resize(mask, size[1], size[0], "bilinear", "center").round()
        return torch.cat(_same_rows(mask, picture), dim=1)
    height, width = (side * latents.downscale for side in size)
    mask = resize(mask, width, height, "bilinear", "center")
    cells = functional.pixel_unshuffle(mask, latents.downscale)
    return torch.cat(_same_rows(picture, cells), dim=1)


def _fitting(concat: ConcatLatent | None, extra: int, latents: LatentFormat) -> ConcatLatent:
    """Return the workflow's picture, after making sure that the network can read it."""
    cell = latents.downscale**2
    if extra not in (latents.channels, latents.channels + _MASK, latents.channels + cell):
        raise UnknownConcatError(extra)
    if concat is None and extra != latents.channels:
        return _nothing(latents)
    if concat is None:
        raise MissingInputError(
            code="nothing_beside",
            need=f"the model reads an image beside the latent ({extra} channels more)",
            missing="none",
            hint="Models that follow instructions, edges or depth need"
            " InstructPixToPixConditioning.",
        )
    if concat.latent.shape[1] != latents.channels:
        raise ChannelMismatchError(
            code="beside_channels",
            what="the image beside the latent",
            found=concat.latent.shape[1],
            expected=latents.channels,
            reader="this model",
            hint="Encode it with the model's own VAE.",
        )
    return concat


def _nothing(latents: LatentFormat) -> ConcatLatent:
    """Return an empty picture and a mask of all of it, of one latent pixel: it is resized."""
    shape = (1, latents.channels, 1, 1)
    if latents.channels == len(_GREY):
        picture = latents.to_raw(torch.tensor(_GREY).view(shape))
    else:
        picture = torch.zeros(shape)
    return ConcatLatent(picture, torch.ones(1, _MASK, 1, 1))


def _required_mask(concat: ConcatLatent) -> Tensor:
    if concat.mask is None:
        raise MissingInputError(
            code="no_mask_beside",
            need="the model is made for inpainting",
            missing="no mask",
            hint="Use InpaintModelConditioning.",
        )
    return concat.mask


def _same_rows(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Repeat the one with fewer rows to the rows of the other."""
    rows = max(len(a), len(b))
    return repeat_to_batch(a, rows), repeat_to_batch(b, rows)
