"""Alpha compositing of two images (Porter & Duff 1984, "Compositing Digital Images").

The separable modes are those that Android's `PorterDuff.Mode` documents.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, TypeAlias

import torch
from torch import Tensor

from nodegraph.definition.markers import Choices
from nodegraph.definition.node import node
from nodes.builtin.editing.mask_channels import ImageAndMask
from nodes.imaging.batch import as_batch, with_channels
from nodes.imaging.resize import resize, resize_images
from nodes.values import Image, Mask

_INVISIBLE = 1e-5  # below this alpha a pixel has no colour
Layers: TypeAlias = tuple[Tensor, Tensor]
"""Colour [batch, h, w, 3], multiplied by its alpha, and alpha [batch, h, w, 1]."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two layers with alpha: source and destination."""

    s: Tensor
    sa: Tensor
    d: Tensor
    da: Tensor

    def blend(self, source: Tensor | float, destination: Tensor | float) -> Layers:
        """Weigh source and destination by fractions, Porter & Duff's F_A and F_B, and add them."""
        colour = source * self.s + destination * self.d
        return colour, source * self.sa + destination * self.da

    @property
    def union(self) -> Tensor:
        """Return the alpha of one layer over the other."""
        return self.sa + self.da - self.sa * self.da

    def beside(self, shared: Tensor) -> Layers:
        """Return each layer where it is alone, and `shared` where both are."""
        return (1 - self.da) * self.s + (1 - self.sa) * self.d + shared, self.union


def _overlay(p: _Pair) -> Layers:
    dark = 2 * p.s * p.d
    light = p.sa * p.da - 2 * (p.da - p.d) * (p.sa - p.s)
    return torch.where(2 * p.d < p.da, dark, light), p.union


_MODES: Mapping[str, Callable[[_Pair], Layers]] = MappingProxyType(
    {
        "ADD": lambda p: ((p.s + p.d).clamp(0, 1), (p.sa + p.da).clamp(0, 1)),
        "CLEAR": lambda p: p.blend(0.0, 0.0),
        "DARKEN": lambda p: p.beside(torch.minimum(p.s, p.d)),
        "DST": lambda p: p.blend(0.0, 1.0),
        "DST_ATOP": lambda p: p.blend(1 - p.da, p.sa),
        "DST_IN": lambda p: p.blend(0.0, p.sa),
        "DST_OUT": lambda p: p.blend(0.0, 1 - p.sa),
        "DST_OVER": lambda p: p.blend(1 - p.da, 1.0),
        "LIGHTEN": lambda p: p.beside(torch.maximum(p.s, p.d)),
        "MULTIPLY": lambda p: (p.s * p.d, p.sa * p.da),
        "OVERLAY": _overlay,
        "SCREEN": lambda p: (p.s + p.d - p.s * p.d, p.union),
        "SRC": lambda p: p.blend(1.0, 0.0),
        "SRC_ATOP": lambda p: p.blend(p.da, 1 - p.sa),
        "SRC_IN": lambda p: p.blend(p.da, 0.0),
        "SRC_OUT": lambda p: p.blend(1 - p.da, 0.0),
        "SRC_OVER": lambda p: p.blend(1.0, 1 - p.sa),
        "XOR": lambda p: p.blend(1 - p.da, 1 - p.sa),
    }
)


@node(
    "PorterDuffImageComposite",
    category="mask/compositing",
    display_name="Porter-Duff Image Composite",
)
def porter_duff_image_composite(
    source: Image,
    source_alpha: Mask,
    destination: Image,
    destination_alpha: Mask,
    mode: Annotated[str, Choices(tuple(_MODES))] = "DST",
) -> ImageAndMask:
    """Composite `source` over `destination`, both with transparency, by a Porter-Duff mode.

    The masks, and the result's mask, are 1 where an image is transparent. Everything is cropped
    to the aspect ratio of `destination` and scaled to its size. The result is as long as the
    shortest of the four batches.
    """
    masks = as_batch(source_alpha), as_batch(destination_alpha)
    count = min(len(batch) for batch in (source, destination, *masks))
    height, width = destination.shape[1:3]
    s, sa = _layer(source[:count], masks[0][:count], width, height)
    d, da = _layer(destination[:count], masks[1][:count], width, height)
    colour, alpha = _MODES[mode](_Pair(s, sa, d, da))
    colour = torch.where(alpha > _INVISIBLE, colour / alpha, 0.0).clamp(0, 1)
    return ImageAndMask(colour, 1.0 - alpha[..., 0])


def _layer(image: Tensor, mask: Tensor, width: int, height: int) -> Layers:
    if image.shape[1:3] != (height, width):
        image = resize_images(image, width, height, "bicubic", "center")
    if mask.shape[1:] != (height, width):
        mask = resize(mask[:, None], width, height, "bicubic", "center")[:, 0]
    alpha = 1.0 - mask[..., None].to(image)
    return with_channels(image, 3) * alpha, alpha
