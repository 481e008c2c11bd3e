"""Nodes that filter images: blur, sharpen, noise, morphology."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Ratio, Seed
from nodes.imaging.filters import gaussian_blur
from nodes.values import Image

Radius = Annotated[int, Field(ge=1, le=31), Step(1)]
Morph = Literal["erode", "dilate", "open", "close", "gradient", "bottom_hat", "top_hat"]

_SHARPEST = 10.0  # the unsharp mask's factor at an alpha of 1


@node("ImageBlur", category="image/postprocessing")
def image_blur(
    image: Image,
    blur_radius: Radius = 1,
    sigma: Annotated[float, Field(ge=0.1, le=10.0), Step(0.1)] = 1.0,
) -> Image:
    """Blur images with a Gaussian over (2 * blur_radius + 1)² pixels.

    `sigma` is in units of the radius: the weight at the window's edge is exp(-1 / (2 sigma²)) of
    the centre's. Borders are mirrored.
    """
    return _blur(image, blur_radius, sigma)


@node("ImageSharpen", category="image/postprocessing")
def image_sharpen(
    image: Image,
    sharpen_radius: Radius = 1,
    sigma: Annotated[float, Field(ge=0.1, le=10.0), Step(0.01)] = 1.0,
    alpha: Annotated[float, Field(ge=0.0, le=5.0), Step(0.01)] = 1.0,
) -> Image:
    """Sharpen images with an unsharp mask: add `10 * alpha` times the difference to their blur."""
    lost = image - _blur(image, sharpen_radius, sigma)
    return (image + _SHARPEST * alpha * lost).clamp(0, 1)


@node("ImageAddNoise", category="image")
def image_add_noise(
    image: Image,
    seed: Seed = 0,
    strength: Ratio = 0.5,
) -> Image:
    """Add Gaussian noise with the standard deviation `strength`, drawn on the CPU from the seed."""
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
    return (image + strength * noise.to(image)).clamp(0, 1)


@node("Morphology", category="image/postprocessing", display_name="ImageMorphology")
def morphology(
    image: Image,
    operation: Morph,
    kernel_size: Annotated[int, Field(ge=3, le=999), Step(1)] = 3,
) -> Image:
    """Apply flat morphology over a square (Serra 1982), each channel by itself.

    `erode` takes the smallest value within the square, `dilate` the largest. `open` erodes,
    then dilates; `close` the other way round. `gradient` is dilated minus eroded, `top_hat`
    the image minus its opening, `bottom_hat` the closing minus the image. Pixels beyond the
    border are ignored. A square of even size reaches one pixel further up and left where it
    erodes, and one further down and right where it dilates, so that opening and closing do not
    shift the image.
    """
    x = image.movedim(-1, 1)
    return _MORPHS[operation](x, kernel_size).movedim(1, -1).contiguous()


def _open(x: Tensor, size: int) -> Tensor:
    return _dilate(_erode(x, size), size)


def _close(x: Tensor, size: int) -> Tensor:
    return _erode(_dilate(x, size), size)


def _dilate(x: Tensor, size: int) -> Tensor:
    return _largest(x, size, before=size - size // 2 - 1)


def _erode(x: Tensor, size: int) -> Tensor:
    return -_largest(-x, size, before=size // 2)


def _largest(x: Tensor, size: int, before: int) -> Tensor:
    """Return the maximum over a square that begins `before` pixels up and left of each pixel."""
    after = size - before - 1
    x = functional.pad(x, (before, after, before, after), value=-torch.inf)
    x = functional.max_pool2d(x, (1, size), stride=1)
    return functional.max_pool2d(x, (size, 1), stride=1)


_MORPHS: Mapping[Morph, Callable[[Tensor, int], Tensor]] = MappingProxyType(
    {
        "erode": _erode,
        "dilate": _dilate,
        "open": _open,
        "close": _close,
        "gradient": lambda x, size: _dilate(x, size) - _erode(x, size),
        "bottom_hat": lambda x, size: _close(x, size) - x,
        "top_hat": lambda x, size: x - _open(x, size),
    }
)


def _blur(image: Tensor, radius: int, sigma: float) -> Tensor:
    """[batch, h, w, channels] after a Gaussian blur; `sigma` counts in radii."""
    x = gaussian_blur(image.movedim(-1, 1), radius, sigma * radius, mode="mirror")
    return x.movedim(1, -1)
