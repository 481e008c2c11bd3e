"""The node that makes pictures of what models predict about a picture: depth, normals, colours."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.node import node
from nodes.values import Image

_DARK, _SLOPE = 0.0031308, 12.92
"""Up to that brightness sRGB is a line (IEC 61966-2-1)."""


@node(
    "MarigoldV2PostProcess",
    category="image/geometry estimation",
    display_name="Marigold V2 Post-Process",
)
def marigold_v2_post_process(
    image: Image, prediction: Literal["depth", "normals", "albedo"]
) -> Image:
    """Make a decoded prediction of Marigold v2 visible.

    `depth` becomes grey: the nearest point of each picture is white and the farthest black.
    `normals` get the length 1, as colours around grey. `albedo`, which is linear, becomes sRGB.
    """
    seen = {"depth": _depth, "normals": _normals, "albedo": _srgb}[prediction]
    return seen(image[..., :3].float())


def _depth(image: Tensor) -> Tensor:
    """Spread the mean of the channels, larger for farther points, over white to black."""
    far = image.mean(dim=-1, keepdim=True)
    least, most = far.amin(dim=(1, 2), keepdim=True), far.amax(dim=(1, 2), keepdim=True)
    near = (most - far) / (most - least).clamp(min=torch.finfo(far.dtype).eps)
    return near.expand(*near.shape[:-1], 3).contiguous()


def _normals(image: Tensor) -> Tensor:
    return functional.normalize(image * 2 - 1, dim=-1) / 2 + 0.5


def _srgb(image: Tensor) -> Tensor:
    """Return linear light by the curve of sRGB."""
    light = image.clamp(0, 1)
    curve = 1.055 * light.clamp(min=_DARK) ** (1 / 2.4) - 0.055
    return torch.where(light <= _DARK, light * _SLOPE, curve)
