"""A node that hides images with sexual content."""

from typing import Annotated, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Listed, ModelFile, Name
from nodegraph.definition.node import node
from nodegraph.graph.sockets import Socket
from nodes.models.adapters.safety import open_checker
from nodes.values import Image

Hiding: TypeAlias = Literal["black", "blurred"]
_LEFT = 8
"""The pixels along each side that are left of a blurred image."""


class CheckedImages(NamedTuple):
    """The outputs of `SafetyChecker`."""

    image: Image
    flagged: Annotated[list[bool], Socket("BOOLEAN"), Listed(), Name("flagged")]
    hidden: Annotated[int, Name("hidden")]


@node(
    "SafetyChecker",
    category="image",
    display_name="Safety Checker",
    preflight="nodes.preflight.models:safety_checker",
)
def safety_checker(
    image: Image,
    checker_name: Annotated[str, ModelFile("safety_checker")],
    hide: Hiding,
    ctx: Context,
) -> CheckedImages:
    """Hide images with sexual content, as found by Stable Diffusion's safety checker.

    Checkers are in `models/safety_checker`, in diffusers' layout. `flagged` is true for each hidden
    image, `hidden` is their number. Nothing is checked without this node, and a checker makes
    mistakes both ways.
    """
    path = ctx.files.model("safety_checker", checker_name)
    checker = open_checker(path, ctx.files.identity(path), ctx.models)
    flags: list[bool] = []
    for frame in image:
        ctx.check_cancelled()
        flags += checker.flags(frame[None])
    hidden = _blacken(image) if hide == "black" else _blur(image)
    mask = torch.tensor(flags, device=image.device).view(-1, 1, 1, 1)
    return CheckedImages(torch.where(mask, hidden, image), flags, sum(flags))


def _blacken(image: Tensor) -> Tensor:
    hidden = torch.zeros_like(image)
    hidden[..., 3:] = image[..., 3:]
    return hidden


def _blur(image: Tensor) -> Tensor:
    """Blur images until nothing can be recognised."""
    pixels = image.movedim(-1, 1)
    few = functional.adaptive_avg_pool2d(pixels, (_LEFT, _LEFT))
    return functional.interpolate(few, size=pixels.shape[-2:], mode="bilinear").movedim(1, -1)
