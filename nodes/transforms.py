"""Nodes that crop, mirror and rotate images."""

import torch

from nodegraph.define import node
from nodes.inputs import Flip, Offset, Rotation, Side
from nodes.values import Image

_QUARTERS = ("none", "90 degrees", "180 degrees", "270 degrees")


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
