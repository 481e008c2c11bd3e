"""Bring pictures into the form that vision encoders read (Radford et al. 2021, section 2.4)."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Crop: TypeAlias = Literal["center", "none"]
_NORMS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "clip": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "siglip": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""What each was trained with: the mean and the deviation of red, green and blue."""


def prepared(pictures: Tensor, size: int, kind: str, crop: Crop = "center") -> Tensor:
    """Pictures as an encoder reads them: a square, rounded to 8 bits, normed.

    Args:
        pictures: [batch, height, width, 3 or 4] in [0, 1].
        size: of the square.
        kind: `clip` or `siglip`.
        crop: `center` makes the shorter side fit and cuts the longer one evenly; `none` squeezes.

    Returns:
        [batch, 3, size, size].
    """
    pixels = pictures[..., :3].movedim(-1, 1)
    height, width = pixels.shape[-2:]
    scale = size / min(height, width)
    cover = (round(height * scale), round(width * scale)) if crop == "center" else (size, size)
    if cover != (height, width):
        pixels = functional.interpolate(pixels, size=cover, mode="bicubic", antialias=True)
    top, left = ((side - size) // 2 for side in cover)
    pixels = pixels[..., top : top + size, left : left + size]
    mean, deviation = (torch.tensor(row).view(3, 1, 1).to(pixels) for row in _NORMS[kind])
    return ((pixels.clamp(0, 1) * 255).round() / 255 - mean) / deviation
