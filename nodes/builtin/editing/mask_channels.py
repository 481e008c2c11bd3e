"""Nodes that convert between images and masks."""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph.definition.markers import Step, Widget
from nodegraph.definition.node import node
from nodes.builtin.editing.errors import ChannelError
from nodes.imaging.batch import as_batch, with_channels
from nodes.imaging.resize import resize
from nodes.values import Image, Mask

_CHANNELS = ("red", "green", "blue", "alpha")


class ImageAndMask(NamedTuple):
    """An image without its alpha channel, and the mask of its transparency."""

    image: Image
    mask: Mask


@node("ImageToMask", category="mask", display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """Take one channel of images as masks: [batch, height, width].

    `alpha` is 1 where the image is opaque; an image without it is an error.
    """
    place = _CHANNELS.index(channel)
    if place >= image.shape[-1]:
        raise ChannelError(channel, image.shape[-1])
    return image[..., place].contiguous()


@node("MaskToImage", category="mask", display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """Turn masks into grey images: 1 is white."""
    return as_batch(mask)[..., None].expand(-1, -1, -1, 3).contiguous()


@node("ImageColorToMask", category="mask")
def image_color_to_mask(
    image: Image,
    color: Annotated[int, Field(ge=0, le=0xFFFFFF), Step(1), Widget(display="color")] = 0,
) -> Mask:
    """Make a mask: 1 where a pixel, rounded to 8 bits, has exactly the colour 0xRRGGBB."""
    rgb = torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255])
    pixels = (image[..., :3].clamp(0, 1) * 255).round().int()
    return (pixels == rgb.to(pixels)).all(dim=-1).float()


@node("SplitImageWithAlpha", category="mask/compositing", display_name="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> ImageAndMask:
    """Split images into colours and transparency: the mask is 1 where they are transparent.

    Without an alpha channel the mask is 0 everywhere.
    """
    alpha = with_channels(image, 4)[..., 3]
    return ImageAndMask(image[..., :3].contiguous(), 1.0 - alpha)


@node("JoinImageWithAlpha", category="mask/compositing", display_name="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """Make images transparent where the mask is 1: [batch, height, width, 4].

    The mask is stretched to the image. The result is as long as the shorter of the two batches.
    """
    height, width = image.shape[1:3]
    masks = resize(as_batch(alpha)[:, None], width, height, "bilinear")[:, 0]
    count = min(len(image), len(masks))
    opaque = 1.0 - masks[:count].to(image)
    return torch.cat([with_channels(image[:count], 3), opaque[..., None]], dim=-1)
