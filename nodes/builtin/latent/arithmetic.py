"""Nodes that compute with the values of latents."""

from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.inputs import Ratio
from nodes.builtin.latent.matching import match_size
from nodes.imaging.batch import repeat_to_batch
from nodes.imaging.resize import LatentMethod
from nodes.values import Latent


@node("LatentAdd", category="latent/advanced")
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """Add two latents; `samples2` is scaled and repeated to the size and batch of `samples1`."""
    return replace(samples1, samples=samples1.samples + _match_shape(samples2, samples1))


@node("LatentSubtract", category="latent/advanced")
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """Subtract latents: `samples1` - `samples2`, the latter scaled and repeated to fit."""
    return replace(samples1, samples=samples1.samples - _match_shape(samples2, samples1))


@node("LatentMultiply", category="latent/advanced")
def latent_multiply(
    samples: Latent, multiplier: Annotated[float, Field(ge=-10.0, le=10.0), Step(0.01)] = 1.0
) -> Latent:
    """Multiply a latent by a number."""
    return replace(samples, samples=samples.samples * multiplier)


@node("LatentInterpolate", category="latent/advanced")
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Ratio = 1.0) -> Latent:
    """Interpolate from `samples2` (0) to `samples1` (1), directions and lengths separately.

    The channel vectors of each latent pixel are scaled to length 1, mixed and scaled to 1
    again; the lengths are mixed separately.
    """
    first, second = samples1.samples, _match_shape(samples2, samples1)
    length = torch.lerp(_lengths(second), _lengths(first), ratio)
    mixed = _unit(first) * ratio + _unit(second) * (1 - ratio)
    return replace(samples1, samples=_unit(mixed) * length)


@node("LatentBlend", category="_for_testing", display_name="Latent Blend")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Ratio = 0.5) -> Latent:
    """Blend two latents: 1 is all `samples1`, 0 all `samples2`, scaled to the first one's size."""
    first, second = samples1.samples, _match_shape(samples2, samples1, "bicubic")
    return replace(samples1, samples=first * blend_factor + second * (1 - blend_factor))


def _match_shape(other: Latent, to: Latent, method: LatentMethod = "bilinear") -> Tensor:
    """Bring `other` to the shape of `to`: cropped to its aspect ratio, resized, repeated.

    Raises:
        LatentMismatchError: they differ in their number of channels, or of layers.
    """
    return repeat_to_batch(match_size(other, to, method), len(to.samples)).to(to.samples)


def _lengths(x: Tensor) -> Tensor:
    return x.square().sum(dim=1, keepdim=True).sqrt()


def _unit(x: Tensor) -> Tensor:
    return (x / _lengths(x)).nan_to_num()
