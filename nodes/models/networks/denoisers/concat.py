"""What some networks are given beside the latent, channel upon channel: pictures and masks.

Models for inpainting read the picture without its masked part, and the mask: U-Nets as one
channel, before the picture (Rombach et al., `inpaint.py` of the original code), FLUX.1 Fill as
the 64 pixels that each latent pixel stands for, after it. Others read the picture alone: those
that follow instructions (Brooks et al. 2022, arXiv:2211.09800), FLUX.1's for edges and depth.
"""

import torch
from torch import Tensor
from torch.nn import functional

from nodes.imaging.resize import resize
from nodes.models.networks.denoisers.errors import (
    BesideChannelsError,
    NoMaskBesideError,
    NothingBesideError,
    UnknownInputsError,
)
from nodes.sampling.conditioning.cond import ConcatLatent
from nodes.sampling.conditioning.latents import LatentFormat

_MASK = 1


def concat_input(
    given: ConcatLatent | None,
    extra: int,
    size: tuple[int, int],
    latents: LatentFormat,
    *,
    raw: bool,
) -> Tensor | None:
    """Return what a network reads with a latent: [batch or 1, extra, height, width].

    Args:
        given: by the workflow.
        extra: how many channels the network reads beyond the latent's; 0 for most.
        size: height and width of the latent.
        latents: the model's.
        raw: whether it reads a picture that comes without a mask in the VAE's space.

    Raises:
        NothingBesideError: the network reads more, and the workflow gives nothing.
        NoMaskBesideError: it gives a picture, but no mask.
        BesideChannelsError: it gives a picture of other channels.
        UnknownInputsError: the network reads something that is not known here.
    """
    if extra <= 0:
        return None
    cell = latents.downscale**2
    if extra not in (latents.channels, latents.channels + _MASK, latents.channels + cell):
        raise UnknownInputsError(extra)
    if given is None:
        raise NothingBesideError(extra)
    if given.latent.shape[1] != latents.channels:
        raise BesideChannelsError(given.latent.shape[1], latents.channels)
    picture = resize(given.latent, size[1], size[0], "bilinear", "center")
    if extra == latents.channels:
        return picture if raw else latents.to_model(picture)
    if given.mask is None:
        raise NoMaskBesideError
    picture = latents.to_model(picture)
    if extra == latents.channels + _MASK:
        mask = resize(given.mask, size[1], size[0], "bilinear", "center").round()
        return torch.cat(_alike(mask, picture), dim=1)
    height, width = (side * latents.downscale for side in size)
    mask = resize(given.mask, width, height, "bilinear", "center")
    cells = functional.pixel_unshuffle(mask, latents.downscale)
    return torch.cat(_alike(picture, cells), dim=1)


def _alike(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both with as many rows as the one that has more."""
    rows = max(len(a), len(b))
    return _rows(a, rows), _rows(b, rows)


def _rows(x: Tensor, rows: int) -> Tensor:
    return x.repeat(-(rows // -len(x)), 1, 1, 1)[:rows]
