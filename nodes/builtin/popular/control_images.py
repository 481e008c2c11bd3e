"""Node types of Advanced-ControlNet and controlnet_aux: a loader, and Canny's edges as OpenCV's."""

from collections.abc import Callable
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Optional, Step
from nodegraph.definition.node import node
from nodes.builtin.conditioning.controlnets import File, control_net_loader
from nodes.imaging.batch import with_channels
from nodes.imaging.codec import to_bytes
from nodes.models.adapters.controlnet import ControlNetHandle
from nodes.values import Image

Threshold = Annotated[int, Field(ge=0, le=255), Step(1), Optional()]
Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

_MULTIPLE = 64
"""Images are continued to a multiple of this many pixels while edges are looked for."""
_TAN_22 = 13573
"""tan(22.5°) in units of 2^-15."""


@node(
    "ControlNetLoaderAdvanced",
    category="popular/Advanced-ControlNet",
    display_name="Load Advanced ControlNet Model",
    preflight="nodes.preflight.models:controlnet",
    gives_way=True,
)
def control_net_loader_advanced(control_net_name: File, ctx: Context) -> ControlNetHandle:
    """Open a ControlNet; see `ControlNetLoader`. Keyframes of timesteps are not supported."""
    return control_net_loader(control_net_name, ctx)


@node(
    "CannyEdgePreprocessor",
    category="popular/ControlNet preprocessors",
    display_name="Canny Edge",
    gives_way=True,
)
def canny_edge_preprocessor(
    image: Image,
    low_threshold: Threshold = 100,
    high_threshold: Threshold = 200,
    resolution: Annotated[int, Field(ge=64, le=16384), Step(64), Optional()] = 512,
    *,
    ctx: Context,
) -> Image:
    """Draw the edges of images in white on black; the shorter side becomes `resolution` pixels.

    As OpenCV's Canny (Canny 1986) on 8 bits: Sobel's gradient of the strongest channel, without a
    blur. A pixel is on an edge if its gradient is the largest along its direction and above the
    higher threshold, or above the lower one and connected to such an edge.
    """
    low, high = sorted((low_threshold, high_threshold))
    drawn: list[torch.Tensor] = []
    for number, frame in enumerate(image):
        ctx.progress(number, len(image))
        pixels = _resize(to_bytes(with_channels(frame, 3)), resolution)
        height, width = pixels.shape[:2]
        rest = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
        edges = _edges(np.pad(pixels, rest, mode="edge"), low, high)[:height, :width]
        drawn.append(torch.tensor(edges).to(image)[..., None].expand(-1, -1, 3))
    return torch.stack(drawn)


def _resize(pixels: Bytes, resolution: int) -> Bytes:
    """Scale [height, width, 3] to a shorter side: by areas downwards, bicubic upwards."""
    sides = np.array(pixels.shape[:2])
    height, width = (int(side) for side in np.rint(sides * (resolution / sides.min())))
    if resolution > sides.min():
        x = torch.tensor(pixels).movedim(-1, 0)[None].float()
        y = functional.interpolate(x, size=(height, width), mode="bicubic")[0].movedim(0, -1)
        return y.round().clamp(0, 255).to(torch.uint8).numpy()
    rows, columns = _area_weights(sides[0], height), _area_weights(sides[1], width)
    mean = np.einsum("ih,hwc,jw->ijc", rows, pixels, columns, optimize=True)
    return np.rint(mean).clip(0, 255).astype(np.uint8)


def _area_weights(old: int, new: int) -> NDArray[np.float64]:
    """Return the share of each old pixel in each new one: [new, old], rows add up to 1."""
    edges = np.arange(new + 1) * (old / new)
    place = np.arange(old)
    covered = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    return covered.clip(min=0) * (new / old)


def _edges(pixels: Bytes, low: int, high: int) -> NDArray[np.float32]:
    """Return 1 on edges of [height, width, 3], else 0."""
    across, down = _gradient(pixels)
    strength = abs(across) + abs(down)
    strongest = strength.argmax(axis=2)[..., None]
    across, down, strength = (
        np.take_along_axis(each, strongest, axis=2)[..., 0] for each in (across, down, strength)
    )
    ridges = np.where(_is_largest(across, down, strength), strength, 0)
    label = cast("Callable[..., tuple[NDArray[np.int32], int]]", ndimage.label)
    groups, count = label(ridges > low, structure=np.ones((3, 3)))
    strong = np.zeros(count + 1, dtype=np.float32)
    strong[groups[ridges > high]] = 1.0
    strong[0] = 0.0
    return strong[groups]


def _gradient(pixels: Bytes) -> tuple[Numbers, Numbers]:
    """Return Sobel's gradient of each channel, to the right and downwards."""
    x = np.pad(pixels.astype(np.int64), ((1, 1), (1, 1), (0, 0)), mode="edge")
    bell_down = x[:-2] + 2 * x[1:-1] + x[2:]
    bell_across = x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]
    return bell_down[:, 2:] - bell_down[:, :-2], bell_across[2:] - bell_across[:-2]


def _is_largest(across: Numbers, down: Numbers, strength: Numbers) -> NDArray[np.bool_]:
    """Mark the pixels whose gradient is not less than that of both neighbours along it."""
    height, width = strength.shape
    framed = np.pad(strength, 1)

    def neighbour(row: int, column: int) -> Numbers:
        return framed[1 + row : 1 + row + height, 1 + column : 1 + column + width]

    flat, steep = abs(across) * _TAN_22, abs(down) << 15
    horizontal = (strength > neighbour(0, -1)) & (strength >= neighbour(0, 1))
    vertical = (strength > neighbour(-1, 0)) & (strength >= neighbour(1, 0))
    falling = (strength > neighbour(-1, -1)) & (strength > neighbour(1, 1))
    rising = (strength > neighbour(-1, 1)) & (strength > neighbour(1, -1))
    diagonal = np.where((across < 0) == (down < 0), falling, rising)
    diagonal = np.where(steep > flat + (abs(across) << 16), vertical, diagonal)
    return np.where(steep < flat, horizontal, diagonal)
