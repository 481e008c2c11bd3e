"""Nodes between pictures and masks."""

from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field

from nodegraph.define import node
from nodegraph.markers import Step, Widget
from nodes.editing_errors import ChannelError
from nodes.matching import as_batch, with_channels
from nodes.resizing import resize
from nodes.values import Image, Mask

_CHANNELS = ("red", "green", "blue", "alpha")


class ImageAndMask(NamedTuple):
    """A picture without its transparency, and where it is transparent."""

    image: Image
    mask: Mask


@node("ImageToMask", category="mask", display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Literal["red", "green", "blue", "alpha"]) -> Mask:
    """One channel of pictures as masks: [batch, height, width].

    `alpha` is 1 where the picture is opaque; a picture without it is refused.
    """
    place = _CHANNELS.index(channel)
    if place >= image.shape[-1]:
        raise ChannelError(channel, image.shape[-1])
    return image[..., place].contiguous()


@node("MaskToImage", category="mask", display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """Masks as grey pictures: 1 is white."""
    return as_batch(mask)[..., None].expand(-1, -1, -1, 3).contiguous()


@node("ImageColorToMask", category="mask")
def image_color_to_mask(
    image: Image,
    color: Annotated[int, Field(ge=0, le=0xFFFFFF), Step(1), Widget(display="color")] = 0,
) -> Mask:
    """1 where a pixel has exactly this colour, 0xRRGGBB, once rounded to 8 bits; else 0."""
    rgb = torch.tensor([color >> 16 & 255, color >> 8 & 255, color & 255])
    pixels = (image[..., :3].clamp(0, 1) * 255).round().int()
    return (pixels == rgb.to(pixels)).all(dim=-1).float()


@node("SplitImageWithAlpha", category="mask/compositing", display_name="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> ImageAndMask:
    """Colours and transparency apart: the mask is 1 where the picture is transparent.

    A picture without an alpha channel is nowhere so.
    """
    alpha = with_channels(image, 4)[..., 3]
    return ImageAndMask(image[..., :3].contiguous(), 1.0 - alpha)


@node("JoinImageWithAlpha", category="mask/compositing", display_name="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """Make pictures transparent where the mask is 1: [batch, height, width, 4].

    The mask is stretched to the picture. There are as many results as there are both
    pictures and masks.
    """
    height, width = image.shape[1:3]
    masks = resize(as_batch(alpha)[:, None], width, height, "bilinear")[:, 0]
    count = min(len(image), len(masks))
    opaque = 1.0 - masks[:count].to(image)
    return torch.cat([with_channels(image[:count], 3), opaque[..., None]], dim=-1)
