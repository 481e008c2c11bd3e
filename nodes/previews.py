"""A rough picture of an unfinished latent, quick enough to be made at every step.

Each latent pixel becomes one colour by a small matrix; nothing is decoded.
"""

import io

import torch
from PIL import Image as Pictures
from torch import Tensor

from nodes.weights.handle import ModelHandle

LARGEST = 512
MIME = "image/jpeg"
_QUALITY = 85


def preview(model: ModelHandle, x0: Tensor) -> tuple[bytes, str]:
    """The first of a batch as JPEG bytes, and their MIME type: `ctx.preview(*preview(…))`.

    Args:
        model: whose latents they are.
        x0: [batch, channels, h, w] in the model's space, as `denoise` gives it.
    """
    shades = colours(x0[:1].cpu().float(), model.model.spec.latent.rgb)[0]
    picture = Pictures.fromarray((shades * 255).round().to(torch.uint8).numpy())
    scale = min(model.latent_format.downscale, LARGEST / max(picture.size))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    file = io.BytesIO()
    picture.resize(size, Pictures.Resampling.BILINEAR).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue(), MIME


def colours(x0: Tensor, rgb: tuple[tuple[float, ...], ...]) -> Tensor:
    """Latents as colours: [batch, h, w, 3] in [0, 1].

    Args:
        x0: [batch, channels, h, w] in the model's space.
        rgb: a row of red, green and blue in [-1, 1] for each channel, and one to add.
            Grey by the channels' mean if it does not fit.
    """
    matrix = torch.tensor(rgb)
    if matrix.shape != (x0.shape[1] + 1, 3):
        grey = x0.mean(dim=1)[..., None].expand(-1, -1, -1, 3)
        return ((grey + 1) / 2).clamp(0, 1)
    shades = x0.movedim(1, -1) @ matrix[:-1] + matrix[-1]
    return ((shades + 1) / 2).clamp(0, 1)
