"""Nodes that paste images onto each other, and blend them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from nodegraph.definition.node import node
from nodes.builtin.inputs import Offset, Ratio
from nodes.imaging.batch import repeat_to_batch, with_channels
from nodes.imaging.composite import flat_mask, paste, stretch_to
from nodes.imaging.resize import resize_images
from nodes.values import Image, Mask

BlendMode = Literal["normal", "multiply", "screen", "overlay", "soft_light", "difference"]


@node("ImageCompositeMasked", category="image")
def image_composite_masked(
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Image:
    """Paste `source` onto `destination` with its corner at (x, y); what sticks out is cut off.

    The mask is stretched to `source` and says how opaque it is: 1 is opaque. `resize_source`
    first scales `source` to the size of `destination`. A batch shorter than `destination`'s is
    repeated.
    """
    below = destination.movedim(-1, 1)
    above = with_channels(source, destination.shape[-1]).movedim(-1, 1)
    if resize_source:
        above = stretch_to(above, below)
    return paste(below, above, (y, x), flat_mask(mask)).movedim(1, -1).contiguous()


@node("ImageBlend", category="image/postprocessing")
def image_blend(
    image1: Image,
    image2: Image,
    blend_factor: Ratio = 0.5,
    *,
    blend_mode: BlendMode,
) -> Image:
    """Blend two images: a factor of 0 gives `image1`, 1 the full blend.

    `image2` is cropped to the aspect ratio of `image1` and scaled to its size. The modes are those
    of W3C's Compositing and Blending (section 9) with `image1` as the backdrop, except that
    `difference` is `image1 - image2`, clipped at 0.
    """
    height, width = image1.shape[1:3]
    channels = max(image1.shape[-1], image2.shape[-1])
    first, second = with_channels(image1, channels), with_channels(image2, channels)
    if second.shape[1:3] != first.shape[1:3]:
        second = resize_images(second, width, height, "bicubic", "center")
    count = max(len(first), len(second))
    first, second = repeat_to_batch(first, count), repeat_to_batch(second, count).to(first)
    blended = _MODES[blend_mode](first, second)
    return torch.lerp(first, blended, blend_factor).clamp(0, 1)


def _screen(a: Tensor, b: Tensor) -> Tensor:
    return 1 - (1 - a) * (1 - b)


def _overlay(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(a <= 0.5, 2 * a * b, 1 - 2 * (1 - a) * (1 - b))


def _soft_light(a: Tensor, b: Tensor) -> Tensor:
    bright = torch.where(a <= 0.25, ((16 * a - 12) * a + 4) * a, a.clamp(min=0).sqrt())
    return torch.where(b <= 0.5, a - (1 - 2 * b) * a * (1 - a), a + (2 * b - 1) * (bright - a))


_MODES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "normal": lambda _, b: b,
        "multiply": torch.mul,
        "screen": _screen,
        "overlay": _overlay,
        "soft_light": _soft_light,
        "difference": torch.sub,
    }
)
