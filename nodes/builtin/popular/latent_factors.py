"""Nodes of the WAS Node Suite and of the QualityOfLifeSuit that resize latents by factors."""

from dataclasses import replace
from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from torch.nn import functional

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.imaging.resize import Crop, LatentMethod, resize
from nodes.values import Latent

WasMethod: TypeAlias = Literal["area", "bicubic", "bilinear", "nearest"]
Factor = Annotated[float, Field(ge=0.01, le=8.0), Step(0.01)]

_ALIGNABLE = ("bicubic", "bilinear")


@node("Latent Upscale by Factor (WAS)", category="popular/WAS Suite", gives_way=True)
def latent_upscale_by_factor(
    *,
    samples: Latent,
    mode: WasMethod,
    factor: Annotated[float, Field(ge=0.1, le=8.0), Step(0.01)] = 2.0,
    align: Literal["true", "false"],
) -> Latent:
    """Resize latents by a factor; each side is rounded to whole latent pixels, at least one.

    With `align` the outermost pixels keep their places (bicubic and bilinear only).
    """
    size = [max(1, round(side * factor)) for side in samples.samples.shape[-2:]]
    aligned = align == "true" if mode in _ALIGNABLE else None
    made = functional.interpolate(samples.samples, size=size, mode=mode, align_corners=aligned)
    return replace(samples, samples=made)


@node("LatentUpscaleFactor _O", category="popular/QualityOfLife", gives_way=True)
def latent_upscale_factor(
    *,
    samples: Latent,
    upscale_method: LatentMethod,
    WidthFactor: Factor = 1.25,  # noqa: N803 - the input's name in workflows
    HeightFactor: Factor = 1.25,  # noqa: N803 - the input's name in workflows
    crop: Crop,
) -> Latent:
    """Resize latents by a factor for each side, rounded down to whole latent pixels.

    `crop: center` first crops to the new aspect ratio.
    """
    height, width = samples.samples.shape[-2:]
    size = (max(1, int(width * WidthFactor)), max(1, int(height * HeightFactor)))
    return replace(samples, samples=resize(samples.samples, *size, upscale_method, crop))
