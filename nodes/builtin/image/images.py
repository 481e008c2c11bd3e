"""Nodes that make and resize images."""

import math
from typing import Annotated, cast

import torch
from pydantic import Field

from nodegraph.definition.markers import Choices, Step, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import BatchSize, Side, SideOrAuto
from nodes.imaging.resize import Crop, ImageMethod, resize_images
from nodes.values import Image

_METHODS = ("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic")
"""The choices of ImageScaleToMaxDimension; ComfyUI lists one of them twice."""


@node("EmptyImage", category="image")
def empty_image(
    width: Side = 512,
    height: Side = 512,
    batch_size: BatchSize = 1,
    color: Annotated[int, Field(ge=0, le=0xFFFFFF), Step(1), Widget(display="color")] = 0,
) -> Image:
    """Make images of one colour, 0xRRGGBB: [batch_size, height, width, 3]."""
    rgb = torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255]) / 255
    rows = rgb.repeat(width).expand(batch_size * height, -1)  # copied row by row, not by pixel
    return rows.contiguous().view(batch_size, height, width, 3)


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(
    *,
    image: Image,
    upscale_method: ImageMethod,
    width: SideOrAuto = 512,
    height: SideOrAuto = 512,
    crop: Crop,
) -> Image:
    """Resize images to `width` by `height`.

    A width or height of 0 is computed from the other and the aspect ratio; if both are 0, nothing
    changes. `crop: center` first crops to the new aspect ratio.
    """
    if width == 0 and height == 0:
        return image
    old_height, old_width = image.shape[1:3]
    wide = width or max(1, round(old_width * height / old_height))
    high = height or max(1, round(old_height * width / old_width))
    return resize_images(image, wide, high, upscale_method, crop)


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def image_scale_by(
    image: Image,
    upscale_method: ImageMethod,
    scale_by: Annotated[float, Field(ge=0.01, le=8.0), Step(0.01)] = 1.0,
) -> Image:
    """Resize images by a factor; each side is rounded to whole pixels, at least one."""
    height, width = (max(1, round(side * scale_by)) for side in image.shape[1:3])
    return resize_images(image, width, height, upscale_method)


@node("ImageScaleToTotalPixels", category="image/upscaling")
def image_scale_to_total_pixels(
    image: Image,
    upscale_method: ImageMethod,
    megapixels: Annotated[float, Field(ge=0.01, le=16.0), Step(0.01)] = 1.0,
) -> Image:
    """Resize images to `megapixels` (1024 * 1024 pixels each) at the same aspect ratio."""
    height, width = image.shape[1:3]
    scale = math.sqrt(int(megapixels * 1024 * 1024) / (width * height))
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    return resize_images(image, wide, high, upscale_method)


@node("ImageScaleToMaxDimension", category="image/upscaling")
def image_scale_to_max_dimension(
    image: Image,
    upscale_method: Annotated[str, Choices(_METHODS)],
    largest_size: Annotated[int, Field(ge=0, le=16384), Step(1)] = 512,
) -> Image:
    """Resize images so that the longer side has `largest_size` pixels; 0 changes nothing."""
    if largest_size == 0:
        return image
    height, width = image.shape[1:3]
    scale = largest_size / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    return resize_images(image, wide, high, cast("ImageMethod", upscale_method))


@node("ImageInvert", category="image", display_name="Invert Image")
def image_invert(image: Image) -> Image:
    """Invert images: 1 - value in every channel."""
    return 1.0 - image
