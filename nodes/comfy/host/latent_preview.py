"""`latent_preview`: rough images of unfinished latents, and callbacks that report the progress."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nodes.comfy.host.comfy.cli_args import LatentPreviewMethod as LatentPreviewMethod
from nodes.comfy.host.comfy.comfy_utils import ProgressBar
from nodes.comfy.values.errors import NotOfferedError
from nodes.inference.previews import latent_rgb

MAX_PREVIEW_RESOLUTION = 512


def preview_to_image(latent_image: Tensor) -> Image.Image:
    """Return an image of [height, width, 3] in [-1, 1]."""
    shades = ((latent_image.float() + 1) / 2).clamp(0, 1) * 255
    return Image.fromarray(shades.to(device="cpu", dtype=torch.uint8).numpy())


class LatentPreviewer:
    """Makes images of latents; packs derive their own."""

    def decode_latent_to_preview(self, x0: Tensor) -> Any:
        """Return an image of the first of [batch, channels, h, w] in the model's space.

        Raises:
            NotOfferedError: the class has no method of its own.
        """
        what = f"{type(self).__name__}.decode_latent_to_preview"
        raise NotOfferedError(what, hint="A class that derives from it overrides the method.")

    def decode_latent_to_preview_image(
        self, preview_format: str, x0: Tensor
    ) -> tuple[str, Any, int]:
        """Return the format, an image, and its longest side, for `ProgressBar.update_absolute`."""
        return "JPEG", self.decode_latent_to_preview(x0), MAX_PREVIEW_RESOLUTION


class Latent2RGBPreviewer(LatentPreviewer):
    """Gives each latent pixel one colour.

    Args:
        latent_rgb_factors: a row of red, green and blue in [-1, 1] for each channel.
        latent_rgb_factors_bias: a row to add.
        latent_rgb_factors_reshape: without effect.
    """

    def __init__(
        self,
        latent_rgb_factors: Sequence[Sequence[float]],
        latent_rgb_factors_bias: Sequence[float] | None = None,
        latent_rgb_factors_reshape: object = None,
    ) -> None:
        rows = [*latent_rgb_factors, latent_rgb_factors_bias or (0.0, 0.0, 0.0)]
        self._rgb = tuple(tuple(map(float, row)) for row in rows)

    def decode_latent_to_preview(self, x0: Tensor) -> Image.Image:
        """Return an image of the first of [batch, channels, h, w] in the model's space."""
        first = x0[:1, :, 0] if x0.ndim == 5 else x0[:1]
        return preview_to_image(latent_rgb(first.float().cpu(), self._rgb)[0] * 2 - 1)


def get_previewer(device: object, latent_format: Any) -> LatentPreviewer | None:
    """Return what makes images of the latents of a format; None if their colours are not known."""
    factors = getattr(latent_format, "latent_rgb_factors", None)
    if factors is None:
        return None
    return Latent2RGBPreviewer(factors, latent_format.latent_rgb_factors_bias)


def prepare_callback(
    model: object, steps: int, x0_output_dict: dict[str, Any] | None = None
) -> Callable[..., None]:
    """Return a callback of every step that reports it; sampling itself makes previews."""
    del model
    bar = ProgressBar(steps)

    def callback(step: int, x0: object, x: object, total_steps: int) -> None:
        del x
        if x0_output_dict is not None:
            x0_output_dict["x0"] = x0
        bar.update_absolute(step + 1, total_steps)

    return callback
