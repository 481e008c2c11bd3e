"""Resizing of images and latents, by the methods that the scale nodes offer."""

from typing import Literal, TypeAlias

import numpy as np
import torch
from PIL import Image as PILImage
from torch import Tensor
from torch.nn import functional

from nodes.imaging.batch import change_layers

Crop: TypeAlias = Literal["disabled", "center"]
ImageMethod: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "lanczos"]
LatentMethod: TypeAlias = Literal["nearest-exact", "bilinear", "area", "bicubic", "bislerp"]

_PARALLEL = 1e-5  # directions whose cosine is closer to ±1 than this have no arc between them


def resize(
    x: Tensor, width: int, height: int, method: ImageMethod | LatentMethod, crop: Crop = "disabled"
) -> Tensor:
    """Resize `x` to `height` by `width`.

    Args:
        x: [batch, channels, h, w] float32; if it has layers, as in `change_layers`, so has the
            result.
        width: of the result.
        height: of the result.
        method: `lanczos` rounds to 8 bits and so is for images in [0, 1] only; `bislerp` turns
            the channel vectors instead of averaging them, which keeps the norm of latents.
        crop: `center` first crops `x` to the aspect ratio of the result, evenly at both sides.
    """
    return change_layers(x, lambda flat: _resize(flat, width, height, method, crop))


def _resize(
    x: Tensor, width: int, height: int, method: ImageMethod | LatentMethod, crop: Crop
) -> Tensor:
    if crop == "center":
        x = centre_crop(x, width, height)
    if method == "lanczos":
        return lanczos(x, width, height)
    if method == "bislerp":
        return bislerp(x, width, height)
    return functional.interpolate(x, size=(height, width), mode=method)


def resize_images(
    images: Tensor, width: int, height: int, method: ImageMethod, crop: Crop = "disabled"
) -> Tensor:
    """Resize [batch, height, width, channels]; see `resize`."""
    return resize(images.movedim(-1, 1), width, height, method, crop).movedim(1, -1)


def centre_crop(x: Tensor, width: int, height: int) -> Tensor:
    """Crop [..., h, w] to the aspect ratio of `width` : `height`, evenly at both sides."""
    own_height, own_width = x.shape[-2:]
    own, target = own_width / own_height, width / height
    if own > target:
        margin = round(own_width * (1 - target / own) / 2)
        return x.narrow(-1, margin, own_width - 2 * margin)
    margin = round(own_height * (1 - own / target) / 2)
    return x.narrow(-2, margin, own_height - 2 * margin)


def lanczos(x: Tensor, width: int, height: int) -> Tensor:
    """Resize [batch, 1, 3 or 4, h, w] in [0, 1] with Pillow's Lanczos filter, in 8 bits."""
    rows = (x.movedim(1, -1).clamp(0, 1) * 255).to(torch.uint8)
    scaled = resize_8_bits(rows, width, height, PILImage.Resampling.LANCZOS)
    return scaled.movedim(-1, 1).to(x.dtype) / 255


def resize_8_bits(
    images: Tensor, width: int, height: int, resampling: PILImage.Resampling
) -> Tensor:
    """Resize [batch, h, w, 1, 3 or 4] uint8 with one of Pillow's filters."""
    scaled = [_resize_one(row, width, height, resampling) for row in images.cpu().numpy()]
    return torch.as_tensor(np.stack(scaled), device=images.device)


def bislerp(x: Tensor, width: int, height: int) -> Tensor:
    """Interpolate direction and length of the channel vectors separately, width first.

    It computes in float64: the angle of nearly parallel vectors is lost in float32.

    Args:
        x: [batch, channels, h, w].
        width: of the result.
        height: of the result.
    """
    across = _slerp_along(x.double().movedim(1, -1), 2, width)
    return _slerp_along(across, 1, height).movedim(-1, 1).to(x.dtype)


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Interpolate from `a` to `b` along the great circle (Shoemake 1985), lengths linearly.

    Args:
        a: [..., channels]; its direction is the result's where both point the same way.
        b: the same shape. Opposite vectors, which have no single arc, are interpolated linearly.
        t: [..., 1] in [0, 1].
    """
    length_a = a.square().sum(-1, keepdim=True).sqrt()
    length_b = b.square().sum(-1, keepdim=True).sqrt()
    unit_a = torch.where(length_a > 0, a / length_a, 0)
    unit_b = torch.where(length_b > 0, b / length_b, 0)
    cosine = (unit_a * unit_b).sum(-1, keepdim=True)
    angle = cosine.clamp(-1, 1).acos()
    arc = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / angle.sin()
    turned = arc * torch.lerp(length_a, length_b, t)
    turned = torch.where(cosine > 1 - _PARALLEL, a, turned)
    return torch.where(cosine < _PARALLEL - 1, torch.lerp(a, b, t), turned)


def _slerp_along(x: Tensor, dim: int, size: int) -> Tensor:
    old = x.shape[dim]
    position = (
        (torch.arange(size, device=x.device, dtype=x.dtype) + 0.5) * (old / size) - 0.5
    ).clamp(0, old - 1)
    left = position.floor().long()
    right = (left + 1).clamp(max=old - 1)
    shape = [-1 if axis == dim else 1 for axis in range(x.ndim)]
    t = (position - left).reshape(shape)
    return slerp(x.index_select(dim, left), x.index_select(dim, right), t)


def _resize_one(
    row: np.ndarray, width: int, height: int, resampling: PILImage.Resampling
) -> np.ndarray:
    grey = row.shape[-1] == 1
    image = PILImage.fromarray(row[..., 0] if grey else row)
    scaled = np.asarray(image.resize((width, height), resampling))
    return scaled[..., None] if grey else scaled
