"""Filters on an image's Fourier transform."""

from typing import cast

import torch
from torch import Tensor

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
