"""Nodes that make, resize and filter pictures."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.define import node
from nodegraph.markers import Step, Widget
from nodes.resizing import Crop, ImageMethod, resize_pictures
from nodes.values import Image

Side = Annotated[int, Field(ge=1, le=16384), Step(1)]
SideOrAuto = Annotated[int, Field(ge=0, le=16384), Step(1)]


@node("EmptyImage", category="image")
def empty_image(
    width: Side = 512,
    height: Side = 512,
    batch_size: Annotated[int, Field(ge=1, le=4096)] = 1,
    color: Annotated[int, Field(ge=0, le=0xFFFFFF), Step(1), Widget(display="color")] = 0,
) -> Image:
    """Pictures of one colour, written 0xRRGGBB: [batch_size, height, width, 3]."""
    rgb = torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255]) / 255
    return rgb.expand(batch_size, height, width, 3).contiguous()


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(
    *,
    image: Image,
    upscale_method: ImageMethod,
    width: SideOrAuto = 512,
    height: SideOrAuto = 512,
    crop: Crop,
) -> Image:
    """Resize pictures to `width` by `height`.

    A width or height of 0 follows from the other and the aspect ratio; both 0 changes
    nothing. `crop: center` first cuts to the new aspect ratio.
    """
    if width == 0 and height == 0:
        return image
    old_height, old_width = image.shape[1:3]
    wide = width or max(1, round(old_width * height / old_height))
    high = height or max(1, round(old_height * width / old_width))
    return resize_pictures(image, wide, high, upscale_method, crop)


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def image_scale_by(
    image: Image,
    upscale_method: ImageMethod,
    scale_by: Annotated[float, Field(ge=0.01, le=8.0), Step(0.01)] = 1.0,
) -> Image:
    """Resize pictures by a factor; each side is rounded to whole pixels, at least one."""
    height, width = (max(1, round(side * scale_by)) for side in image.shape[1:3])
    return resize_pictures(image, width, height, upscale_method)


@node("ImageInvert", category="image", display_name="Invert Image")
def image_invert(image: Image) -> Image:
    """The negative: 1 - value, in every channel."""
    return 1.0 - image


@node("ImageBlur", category="image/postprocessing")
def image_blur(
    image: Image,
    blur_radius: Annotated[int, Field(ge=1, le=31), Step(1)] = 1,
    sigma: Annotated[float, Field(ge=0.1, le=10.0), Step(0.1)] = 1.0,
) -> Image:
    """Blur with a Gaussian over (2 * blur_radius + 1)² pixels.

    `sigma` counts in blur radii: the weight at the window's edge is exp(-1 / (2 sigma²)) of
    the centre's. Beyond its border the picture is mirrored.
    """
    weights = torch.linspace(-1, 1, 2 * blur_radius + 1, device=image.device)
    weights = (weights.square() / (-2 * sigma**2)).exp()
    weights = (weights / weights.sum()).to(image.dtype)
    channels = image.shape[-1]
    x = _mirrored(image.movedim(-1, 1), blur_radius)
    x = functional.conv2d(x, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    x = functional.conv2d(x, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
    return x.movedim(1, -1)


def _mirrored(x: Tensor, margin: int) -> Tensor:
    """[batch, channels, h, w] with a mirrored margin, also where `x` is smaller than it."""
    for dim in (2, 3):
        size = x.shape[dim]
        period = max(1, 2 * size - 2)
        place = torch.arange(-margin, size + margin, device=x.device) % period
        x = x.index_select(dim, torch.minimum(place, period - place) % size)
    return x
