"""Canny's edge detector (Canny 1986, "A Computational Approach to Edge Detection")."""

import math
from collections.abc import Callable
from typing import Annotated, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.context import Context
from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.editing.errors import ThresholdOrderError
from nodes.imaging.batch import luma
from nodes.imaging.filters import gaussian_blur
from nodes.values import Image

Threshold = Annotated[float, Field(ge=0.01, le=0.99), Step(0.01)]

_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
"""(row, column) of the neighbour in each direction, 45 degrees on from the last; first right."""
_TIES = (0, 2)
"""Directions, right and down, in which an equal neighbour does not suppress a pixel."""


@node("Canny", category="image/preprocessors")
def canny(
    image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8, *, ctx: Context
) -> Image:
    """Draw the edges of images in white on black.

    Brightness is blurred with a Gaussian (5 by 5 pixels, standard deviation 1), then Sobel's
    gradient is taken; a step from black to white has about 2.6. A pixel is on an edge if its
    gradient is the largest along its direction and above `high_threshold`, or above
    `low_threshold` and connected to such an edge.
    """
    if low_threshold > high_threshold:
        raise ThresholdOrderError(low_threshold, high_threshold)
    drawn: list[Tensor] = []
    for frame in image:
        ctx.check_cancelled()
        blurred = gaussian_blur(luma(frame[None])[None], 2, 1.0, mode="replicate")
        ridges = _thin_gradient(blurred)
        edges = _link_edges(ridges.numpy(force=True), low_threshold, high_threshold)
        drawn.append(torch.tensor(edges).to(image)[..., None].expand(-1, -1, 3))
    return torch.stack(drawn)


def _thin_gradient(x: Tensor) -> Tensor:
    """Return the gradient's strength where it is a maximum along its direction, 0 elsewhere.

    Args:
        x: [1, 1, height, width].

    Returns:
        [height, width]; the length of Sobel's gradient, not normalised.
    """
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    slope, bell = x.new_tensor([-1.0, 0.0, 1.0]), x.new_tensor([1.0, 2.0, 1.0])
    across = functional.conv2d(padded, torch.outer(bell, slope)[None, None])[0, 0]
    down = functional.conv2d(padded, torch.outer(slope, bell)[None, None])[0, 0]
    strength = torch.hypot(across, down)
    direction = (torch.atan2(down, across) / (math.pi / 4)).round().long() % 8
    kept = _exceeds_neighbour(strength, direction) & _exceeds_neighbour(
        strength, (direction + 4) % 8
    )
    return torch.where(kept, strength, 0.0)


def _exceeds_neighbour(strength: Tensor, direction: Tensor) -> Tensor:
    """Mark the pixels that are stronger than their neighbour in the given direction."""
    height, width = strength.shape
    framed = functional.pad(strength, (1, 1, 1, 1))
    views = [framed[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in _NEIGHBOURS]
    neighbour = torch.stack(views).gather(0, direction[None])[0]
    ties = torch.isin(direction, torch.tensor(_TIES, device=direction.device))
    return (strength > neighbour) | (ties & (strength == neighbour) & (strength > 0))


def _link_edges(ridges: np.ndarray, low: float, high: float) -> NDArray[np.float32]:
    """Return 1 on the connected groups of pixels above `low` that reach above `high`, else 0."""
    label = cast("Callable[..., tuple[NDArray[np.int32], int]]", ndimage.label)
    groups, count = label(ridges > low, structure=np.ones((3, 3)))
    strong = np.zeros(count + 1, dtype=np.bool_)
    strong[groups[ridges > high]] = True
    strong[0] = False
    return strong[groups].astype(np.float32)
