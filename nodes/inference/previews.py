"""Previews: rough images of unfinished latents, fast enough for every step.

A small matrix gives each latent pixel a colour, or TAESD's decoder makes an image.
"""

import io
from collections.abc import Callable
from typing import TypeAlias

import torch
from PIL import Image as PILImage
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.errors import NodeGraphError
from nodes.models.families.base.vaes.tiny_vae import name_for
from nodes.models.loading.handles import ModelHandle, VaeHandle
from nodes.models.loading.tiny_vae import open_decoder
from nodes.sampling.conditioning.latents import split_layers

LARGEST = 512
MIME = "image/jpeg"
_QUALITY = 85

Show: TypeAlias = Callable[[Tensor], Tensor]
"""A function from [1, channels, h, w] in the model's space to [h', w', 3] in about [0, 1].

The latent is where the model computes, the image on the CPU: one copy.
"""


def preview(model: ModelHandle, x0: Tensor, show: Show) -> tuple[bytes, str]:
    """Return the first of a batch as JPEG bytes, and the MIME type: `ctx.preview(*preview(…))`.

    Args:
        model: the model that the latents belong to.
        x0: [batch, channels, h, w] in the model's space, as `denoise` gives it; of layers the
            first is shown, which is the whole picture.
        show: makes the image; see `choose_preview`.
    """
    shades = show(split_layers(x0[:1])[:1])
    image = PILImage.fromarray((shades * 255).round().to(torch.uint8).numpy())
    downscale = model.latent_format.downscale
    scale = min(downscale * x0.shape[-1] / image.width, LARGEST / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    file = io.BytesIO()
    image.resize(size, PILImage.Resampling.BILINEAR).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue(), MIME


def choose_preview(model: ModelHandle, ctx: Context) -> Show:
    """Return the preview method of the settings; warns if the small decoder can not be used."""
    if ctx.preview_method == "taesd":
        name = name_for(model.model.spec.latent)
        if name is None:
            ctx.notice("there is no small decoder for this model: its previews are rough.")
            return by_matrix(model)
        try:
            return by_decoder(model, VaeHandle(open_decoder(name, ctx.files, ctx.models)))
        except NodeGraphError as error:
            ctx.notice(f"previews are rough: {error.message} {error.hint}".strip())
    return by_matrix(model)


def by_matrix(model: ModelHandle) -> Show:
    """Return a preview that gives each latent pixel one colour."""
    rgb = model.model.spec.latent.rgb
    return lambda x0: latent_rgb(x0.cpu().float(), rgb)[0]


def by_decoder(model: ModelHandle, vae: VaeHandle) -> Show:
    """Return a preview that decodes with a small autoencoder."""

    def show(x0: Tensor) -> Tensor:
        raw = model.latent_format.to_raw(x0.float())
        return vae.decode(raw)[0].clamp(0, 1).movedim(0, -1).cpu()

    return show


def latent_rgb(x0: Tensor, rgb: tuple[tuple[float, ...], ...]) -> Tensor:
    """Convert latents to colours: [batch, h, w, 3] in [0, 1].

    Args:
        x0: [batch, channels, h, w] in the model's space.
        rgb: a row of red, green and blue in [-1, 1] for each channel, and a row to add.
            The mean of the channels is shown in grey if it does not fit.
    """
    matrix = torch.tensor(rgb)
    if matrix.shape != (x0.shape[1] + 1, 3):
        grey = x0.mean(dim=1)[..., None].expand(-1, -1, -1, 3)
        return ((grey + 1) / 2).clamp(0, 1)
    shades = x0.movedim(1, -1) @ matrix[:-1] + matrix[-1]
    return ((shades + 1) / 2).clamp(0, 1)
