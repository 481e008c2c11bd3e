"""Nodes that convert colours: YUV and palettes."""

import math
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image as PILImage
from pydantic import Field
from torch import Tensor

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Name, Step
from nodegraph.definition.node import node
from nodes.imaging.batch import LUMA
from nodes.imaging.codec import to_bytes
from nodes.values import Image

Dither = Literal["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"]

_BLUE, _RED = 0.564, 0.713


class Planes(NamedTuple):
    """Brightness (Y) and two colour differences (U, V), each as a grey image."""

    Y: Annotated[Image, Name("Y")]
    U: Annotated[Image, Name("U")]
    V: Annotated[Image, Name("V")]


@node("ImageRGBToYUV", category="image/batch")
def image_rgb_to_yuv(image: Image) -> Planes:
    """Split images into brightness (Y) and colour: U is blue, V is red, both are 0.5 on grey.

    Uses ITU-R BT.601 over the full range, with OpenCV's coefficients rounded to three digits.
    """
    red, green, blue = (image[..., k : k + 1] for k in range(3))
    bright = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    planes = (bright, (blue - bright) * _BLUE + 0.5, (red - bright) * _RED + 0.5)
    return Planes(*(plane.expand(*plane.shape[:-1], 3).contiguous() for plane in planes))


@node("ImageYUVToRGB", category="image/batch")
def image_yuv_to_rgb(Y: Image, U: Image, V: Image) -> Image:  # noqa: N803 - the inputs' names
    """Join brightness and colour planes to an RGB image: the inverse of ImageRGBToYUV.

    Of a plane that is not grey, the mean of its channels is used.
    """
    bright, u, v = (plane[..., :3].mean(dim=-1) for plane in (Y, U, V))
    red, blue = bright + (v - 0.5) / _RED, bright + (u - 0.5) / _BLUE
    green = (bright - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], dim=-1)


@node("ImageQuantize", category="image/postprocessing")
def image_quantize(
    image: Image,
    colors: Annotated[int, Field(ge=1, le=256), Step(1)] = 256,
    *,
    dither: Dither,
    ctx: Context,
) -> Image:
    """Reduce each image to a palette of few colours, chosen by median cut.

    `floyd-steinberg` spreads each pixel's error over its neighbours. `bayer-n` adds an ordered
    n by n pattern (Bayer 1973), strong enough to bridge two colours of the palette.
    """
    painted: list[Tensor] = []
    for frame in image:
        ctx.check_cancelled()
        colour = PILImage.fromarray(to_bytes(frame[..., :3]))
        flat = _quantize(colour, colors, dither).convert("RGB")
        values = torch.tensor(np.asarray(flat)).to(image) / 255
        painted.append(torch.cat([values, frame[..., 3:]], dim=-1))
    return torch.stack(painted)


def _quantize(image: PILImage.Image, colours: int, dither: Dither) -> PILImage.Image:
    plain = image.quantize(colours, dither=PILImage.Dither.NONE)
    if dither == "none":
        return plain
    if dither == "floyd-steinberg":
        return image.quantize(colours, palette=plain, dither=PILImage.Dither.FLOYDSTEINBERG)
    size = int(dither.removeprefix("bayer-"))
    pattern = bayer(size) * (2 * 256 / colours)
    pixels = np.asarray(image).astype(np.float32)
    height, width = pixels.shape[:2]
    tiled = np.tile(pattern, (math.ceil(height / size), math.ceil(width / size)))
    shifted = np.clip(pixels + tiled[:height, :width, None] + 0.5, 0, 255).astype(np.uint8)
    return PILImage.fromarray(shifted).quantize(palette=plain, dither=PILImage.Dither.NONE)


def bayer(size: int) -> np.ndarray:
    """Bayer's threshold matrix for a power of two: [size, size] in (-0.5, 0.5), mean 0."""
    ranks = np.zeros((1, 1))
    while len(ranks) < size:
        ranks = np.block([[4 * ranks, 4 * ranks + 2], [4 * ranks + 3, 4 * ranks + 1]])
    return (ranks + 0.5) / size**2 - 0.5
