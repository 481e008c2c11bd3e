"""Filters of images and latents: a Gaussian blur, and one on the Fourier transform."""

from typing import Literal, TypeAlias, cast

import torch
from torch import Tensor
from torch.nn import functional

BorderMode: TypeAlias = Literal["mirror", "replicate", "shrink"]
"""Values that the window finds beyond the border.

`mirror` reflects the image as often as needed, `replicate` reflects it once and repeats the
last value from there on, `shrink` makes the window no wider than one reflection.
"""

_HEIGHT, _WIDTH = 2, 3


def gaussian_blur(x: Tensor, radius: int, sigma: float, *, mode: BorderMode) -> Tensor:
    """Blur with a Gaussian over (2 * radius + 1)² pixels whose weights add up to 1.

    Args:
        x: [batch, channels, h, w] of a floating dtype.
        radius: pixels that the window reaches to each side.
        sigma: standard deviation in pixels.
        mode: see `BorderMode`.

    Returns:
        The same shape and dtype.
    """
    x = _blur_along(x, _WIDTH, radius, sigma, mode)
    return _blur_along(x, _HEIGHT, radius, sigma, mode)


def _blur_along(x: Tensor, dim: int, radius: int, sigma: float, mode: BorderMode) -> Tensor:
    size = x.shape[dim]
    reach = min(radius, size - 1) if mode == "shrink" else radius
    at = torch.arange(-reach, reach + 1, device=x.device).float()
    weights = (at.square() / (-2 * sigma**2)).exp()
    kernel = (weights / weights.sum()).to(x.dtype)
    padded = x.index_select(dim, _source_index(size, reach, mode).to(x.device))
    kernel = kernel.view((1, 1, 1, -1) if dim == _WIDTH else (1, 1, -1, 1))
    return functional.conv2d(padded.flatten(0, 1)[:, None], kernel).view(x.shape)


def _source_index(size: int, margin: int, mode: BorderMode) -> Tensor:
    """Return the pixel that each position of a padded side copies: [margin + size + margin]."""
    at = torch.arange(-margin, size + margin)
    if mode == "replicate":
        at = at.clamp(1 - size, 2 * size - 2)
    period = max(1, 2 * size - 2)
    at = at % period
    return torch.minimum(at, period - at)


_BOTH = (-2, -1)


def scale_frequencies(x: Tensor, radius: int, low: float, high: float = 1.0) -> Tensor:
    """Multiply low and high frequencies of [batch, channels, h, w] by a number each.

    Args:
        x: of any dtype.
        radius: frequencies below this number of waves, in each direction, are low.
        low: the factor of low frequencies.
        high: the factor of all others.
    """
    height, width = x.shape[-2:]
    y, x0 = height // 2, width // 2
    mask = torch.full((height, width), high, device=x.device)
    mask[max(y - radius, 0) : y + radius, max(x0 - radius, 0) : x0 + radius] = low
    waves = cast("Tensor", torch.fft.fft2(x.float()))  # pyright: ignore[reportUnknownMemberType]
    mask = cast("Tensor", torch.fft.ifftshift(mask, dim=_BOTH))  # pyright: ignore[reportUnknownMemberType]
    return cast("Tensor", torch.fft.ifft2(waves * mask)).real.to(x)  # pyright: ignore[reportUnknownMemberType]
