"""Nodes that crop, flip, rotate or pad images, or join two of them side by side."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Flip, Offset, Rotation, Side
from nodes.imaging.batch import with_channels
from nodes.imaging.resize import ImageMethod, resize_images
from nodes.values import Image, Mask

Margin = Annotated[int, Field(ge=0, le=16384), Step(8)]
Interpolation = Literal["area", "bicubic", "nearest-exact", "bilinear", "lanczos"]

_GREY = 0.5
_QUARTERS = ("none", "90 degrees", "180 degrees", "270 degrees")
_COLOURS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "white": (1.0, 1.0, 1.0),
        "black": (0.0, 0.0, 0.0),
        "red": (1.0, 0.0, 0.0),
        "green": (0.0, 1.0, 0.0),
        "blue": (0.0, 0.0, 1.0),
    }
)


@node("ImageCrop", category="image/transform", display_name="Image Crop")
def image_crop(
    image: Image, width: Side = 512, height: Side = 512, x: Offset = 0, y: Offset = 0
) -> Image:
    """Crop images to a rectangle, smaller where the image ends.

    A corner beyond the image means its last column or row.
    """
    top, left = min(y, image.shape[1] - 1), min(x, image.shape[2] - 1)
    return image[:, top : top + height, left : left + width].contiguous()


@node("ImageFlip", category="image/transform")
def image_flip(image: Image, flip_method: Flip) -> Image:
    """Mirror images: upside down (`x-axis`), or left to right (`y-axis`)."""
    return image.flip(1 if flip_method.startswith("x") else 2)


@node("ImageRotate", category="image/transform")
def image_rotate(image: Image, rotation: Rotation) -> Image:
    """Rotate images clockwise."""
    return torch.rot90(image, _QUARTERS.index(rotation), dims=(2, 1)).contiguous()


class PaddedImage(NamedTuple):
    """An image with a margin, and the mask of the margin."""

    image: Image
    mask: Mask


@node("ImagePadForOutpaint", category="image", display_name="Pad Image for Outpainting")
def image_pad_for_outpaint(
    image: Image,
    left: Margin = 0,
    top: Margin = 0,
    right: Margin = 0,
    bottom: Margin = 0,
    feathering: Annotated[int, Field(ge=0, le=16384), Step(1)] = 40,
) -> PaddedImage:
    """Pad images with a grey margin, and make the mask for outpainting it.

    The mask, [1, height, width], is 1 on the margin and falls quadratically to 0 over
    `feathering` pixels of the image, along the sides that have a margin. Images that are not
    more than twice as large as `feathering` are not feathered.
    """
    batch, height, width, channels = image.shape
    whole = (height + top + bottom, width + left + right)
    rows, columns = slice(top, top + height), slice(left, left + width)
    padded = image.new_full((batch, *whole, channels), _GREY)
    padded[:, rows, columns] = image
    mask = torch.ones(1, *whole, device=image.device)
    mask[:, rows, columns] = 0.0
    if 0 < 2 * feathering < min(height, width):
        down = _distances(height, before=top > 0, after=bottom > 0)
        across = _distances(width, before=left > 0, after=right > 0)
        near = (feathering - torch.minimum(down[:, None], across)).clamp(min=0) / feathering
        mask[:, rows, columns] = near.square().to(mask)
    return PaddedImage(padded, mask)


@node("ImageStitch", category="image/transform", display_name="Image Stitch")
def image_stitch(
    image1: Image,
    direction: Literal["right", "down", "left", "up"] = "right",
    match_image_size: bool = True,
    spacing_width: Annotated[int, Field(ge=0, le=1024), Step(2)] = 0,
    spacing_color: Literal["white", "black", "red", "green", "blue"] = "white",
    image2: Image | None = None,
) -> Image:
    """Join `image2` to `image1` on the side that `direction` names.

    `match_image_size` scales `image2` so that the touching sides are equally long; otherwise the
    smaller image gets black margins. Between the two is a strip of `spacing_width` pixels,
    rounded up to an even number. The shorter batch repeats its last image.
    """
    if image2 is None:
        return image1
    along = 2 if direction in ("left", "right") else 1
    first, second = _match_batches(image1, image2)
    if match_image_size:
        second = _scale_side(second, 3 - along, first.shape[3 - along])
    length = max(first.shape[3 - along], second.shape[3 - along])
    first, second = (_pad_side(x, 3 - along, length) for x in (first, second))
    shape = list(first.shape)
    shape[along] = spacing_width + spacing_width % 2
    strip = _filled_image(first, shape, spacing_color)
    parts = [first, strip, second] if direction in ("right", "down") else [second, strip, first]
    return torch.cat(parts, dim=along)


@node("ResizeAndPadImage", category="image/transform")
def resize_and_pad_image(
    *,
    image: Image,
    target_width: Side = 512,
    target_height: Side = 512,
    padding_color: Literal["white", "black"],
    interpolation: Interpolation,
) -> Image:
    """Scale images to fit into a size, and pad the two sides that stay empty."""
    batch, height, width, channels = image.shape
    scale = min(target_width / width, target_height / height)
    wide, high = max(1, int(width * scale)), max(1, int(height * scale))
    scaled = resize_images(image, wide, high, interpolation)
    whole = _filled_image(image, (batch, target_height, target_width, channels), padding_color)
    top, left = (target_height - high) // 2, (target_width - wide) // 2
    whole[:, top : top + high, left : left + wide] = scaled
    return whole


def _distances(length: int, *, before: bool, after: bool) -> Tensor:
    """Return each pixel's distance to the nearest end of its row that has a margin."""
    place = torch.arange(length)
    far = torch.full_like(place, length)
    first = place if before else far
    return torch.minimum(first, length - place if after else far)


def _match_batches(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Bring both to the same number of images and of channels."""
    count = max(len(first), len(second))
    channels = max(first.shape[-1], second.shape[-1])
    longer = (torch.cat([x, x[-1:].expand(count - len(x), -1, -1, -1)]) for x in (first, second))
    one, two = (with_channels(x, channels) for x in longer)
    return one, two.to(one)


def _scale_side(images: Tensor, dim: int, length: int) -> Tensor:
    """Scale images until the side `dim` has this length."""
    height, width = images.shape[1:3]
    if images.shape[dim] == length:
        return images
    method: ImageMethod = "lanczos"
    if dim == 1:
        return resize_images(images, max(1, int(length * width / height)), length, method)
    return resize_images(images, length, max(1, int(length * height / width)), method)


def _pad_side(images: Tensor, dim: int, length: int) -> Tensor:
    """Pad both ends of the side `dim` with black to this length."""
    shape = list(images.shape)
    shape[dim] = length
    whole = _filled_image(images, shape, "black")
    whole.narrow(dim, (length - images.shape[dim]) // 2, images.shape[dim]).copy_(images)
    return whole


def _filled_image(like: Tensor, shape: Sequence[int], colour: str) -> Tensor:
    """Return an opaque image of one colour: [batch, h, w, channels]."""
    rgb = with_channels(like.new_tensor(_COLOURS[colour]), shape[-1])
    return rgb.expand(*shape).contiguous()
