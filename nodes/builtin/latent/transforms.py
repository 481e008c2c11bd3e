"""Nodes that crop, rotate, cut, join and paste latents."""

from dataclasses import replace
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Flip, LatentAreaSide, LatentOffset, Rotation
from nodes.builtin.latent.errors import LatentMismatchError, NoTimeAxisError
from nodes.builtin.latent.matching import match_axes
from nodes.imaging.batch import repeat_to_batch
from nodes.imaging.composite import flat_mask, paste, stretch_to
from nodes.values import Latent, Mask

_SCALE = 8  # pixels per latent pixel, along each side
_SMALLEST = 8  # latent pixels that remain beyond the corner, at least
_QUARTERS = ("none", "90 degrees", "180 degrees", "270 degrees")
_DIMENSIONS = {"x": -1, "y": -2, "t": -3}
_WITH_TIME = 5  # dimensions: [batch, channels, time, h, w]


@node("LatentCrop", category="latent/transform", display_name="Crop Latent")
def latent_crop(
    samples: Latent,
    width: LatentAreaSide = 512,
    height: LatentAreaSide = 512,
    x: LatentOffset = 0,
    y: LatentOffset = 0,
) -> Latent:
    """Crop latents to a rectangle, smaller where the latent ends; in pixels, in steps of 8.

    The corner stays at least 64 pixels from the right and lower border.
    """
    high, wide = samples.samples.shape[-2:]
    top = max(0, min(y // _SCALE, high - _SMALLEST))
    left = max(0, min(x // _SCALE, wide - _SMALLEST))
    rows, columns = slice(top, top + height // _SCALE), slice(left, left + width // _SCALE)
    return replace(samples, samples=samples.samples[..., rows, columns].contiguous())


@node("LatentFlip", category="latent/transform", display_name="Flip Latent")
def latent_flip(samples: Latent, flip_method: Flip) -> Latent:
    """Mirror latents: upside down (`x-axis`), or left to right (`y-axis`)."""
    dim = -2 if flip_method.startswith("x") else -1
    return replace(samples, samples=samples.samples.flip(dim))


@node("LatentRotate", category="latent/transform", display_name="Rotate Latent")
def latent_rotate(samples: Latent, rotation: Rotation) -> Latent:
    """Rotate latents clockwise."""
    turned = torch.rot90(samples.samples, _QUARTERS.index(rotation), dims=(-1, -2))
    return replace(samples, samples=turned.contiguous())


@node("LatentComposite", category="latent", display_name="Latent Composite")
def latent_composite(
    samples_to: Latent,
    samples_from: Latent,
    x: LatentOffset = 0,
    y: LatentOffset = 0,
    feather: LatentOffset = 0,
) -> Latent:
    """Paste `samples_from` onto `samples_to` with its corner at (x, y), in pixels, in steps of 8.

    It fades in over `feather` pixels from each of its sides that is not at the other's border.
    What sticks out is cut off.
    """
    below, above = samples_to.samples, match_axes(samples_from, samples_to)
    top, left, over = y // _SCALE, x // _SCALE, feather // _SCALE
    above = above[..., : max(0, below.shape[-2] - top), : max(0, below.shape[-1] - left)]
    if not above.numel():
        return samples_to
    rows = _feather(above.shape[-2], top, below.shape[-2], over)
    columns = _feather(above.shape[-1], left, below.shape[-1], over)
    mask = (rows[:, None] * columns)[None, None].to(above.device) if over else None
    return replace(samples_to, samples=paste(below, above, (top, left), mask))


@node("LatentCompositeMasked", category="latent")
def latent_composite_masked(
    destination: Latent,
    source: Latent,
    x: LatentOffset = 0,
    y: LatentOffset = 0,
    resize_source: bool = False,
    mask: Mask | None = None,
) -> Latent:
    """Paste `source` onto `destination` with its corner at (x, y), in pixels, in steps of 8.

    The mask is stretched to `source` and says how opaque it is: 1 is opaque. `resize_source`
    first scales `source` to the size of `destination`. What sticks out is cut off.
    """
    below, above = destination.samples, match_axes(source, destination)
    if resize_source:
        above = stretch_to(above, below)
    pasted = paste(below, above, (y // _SCALE, x // _SCALE), flat_mask(mask))
    return replace(destination, samples=pasted)


@node("LatentConcat", category="latent/advanced")
def latent_concat(
    samples1: Latent, samples2: Latent, dim: Literal["x", "-x", "y", "-y", "t", "-t"]
) -> Latent:
    """Join `samples2` to `samples1`: right (`x`), left (`-x`), below (`y`) or above (`-y`).

    `t` and `-t` are after and before, for video latents. The batch of `samples2` is
    repeated to that of `samples1`.
    """
    first = samples1.samples
    axis = _axis(dim[-1], first)
    second = repeat_to_batch(samples2.samples, len(first)).to(first)
    if _without(first, axis) != _without(second, axis):
        why = f"only {dim[-1]!r} may differ"
        raise LatentMismatchError(first.shape, samples2.samples.shape, why)
    pair = (second, first) if dim.startswith("-") else (first, second)
    return replace(samples1, samples=torch.cat(pair, dim=axis))


@node("LatentCut", category="latent/advanced")
def latent_cut(
    samples: Latent,
    dim: Literal["x", "y", "t"],
    index: Annotated[int, Field(ge=-16384, le=16384), Step(1)] = 0,
    amount: Annotated[int, Field(ge=1, le=16384), Step(1)] = 1,
) -> Latent:
    """Cut `amount` columns (`x`), rows (`y`) or frames (`t`) out of latents, from `index` on.

    Both count latent pixels; a negative index counts from the end. What lies beyond the end is
    left out, but at least one remains.
    """
    axis = _axis(dim, samples.samples)
    length = samples.samples.shape[axis]
    start = min(index, length - 1) if index >= 0 else max(0, length + index)
    cut = samples.samples.narrow(axis, start, min(amount, length - start))
    return replace(samples, samples=cut.contiguous())


def _feather(length: int, start: int, whole: int, over: int) -> Tensor:
    """Return weights [length]: 1 inside, rising linearly from each end that is not a border."""
    steps = (torch.arange(1, length + 1) / max(over, 1)).clamp(max=1.0)
    first = steps if start > 0 else torch.ones(length)
    return first * steps.flip(0) if start + length < whole else first


def _axis(name: str, samples: Tensor) -> int:
    if name == "t" and samples.ndim != _WITH_TIME:
        raise NoTimeAxisError
    return _DIMENSIONS[name]


def _without(samples: Tensor, axis: int) -> list[int]:
    shape = list(samples.shape)
    del shape[axis]
    return shape
