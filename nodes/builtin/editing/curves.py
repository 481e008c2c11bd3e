"""Nodes for curves of brightness, and for the histograms that one looks at while drawing them."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from nodegraph.definition.markers import Name, Optional, Widget
from nodegraph.definition.node import node
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import Socket
from nodes.imaging.codec import to_bytes
from nodes.imaging.errors import BadCurveError, EmptyBatchError
from nodes.values import Image

Histogram: TypeAlias = Annotated[Sequence[int], Socket("HISTOGRAM")]
"""The number of pixels of each of 256 levels, from dark to bright."""
Curve: TypeAlias = Annotated[object, Socket("CURVE")]
"""Points of a curve in [0, 1], and the way between them, as the editor writes it."""

_LEVELS = 256
_LUMA = (0.2126, 0.7152, 0.0722)
"""The weights of red, green and blue in brightness, by ITU-R BT.709."""
_STRAIGHT = {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}
_WAYS = ("monotone_cubic", "linear")


class Histograms(NamedTuple):
    """The histograms of an image."""

    rgb: Annotated[Histogram, Name("rgb")]
    luminance: Annotated[Histogram, Name("luminance")]
    red: Annotated[Histogram, Name("red")]
    green: Annotated[Histogram, Name("green")]
    blue: Annotated[Histogram, Name("blue")]


@node("ImageHistogram", category="image/color", display_name="Image Histogram")
def image_histogram(image: Image) -> Histograms:
    """Count the pixels of each level, 0 to 255, in the first image of a batch.

    `rgb` counts the mean of the three colours, `luminance` their brightness (ITU-R BT.709), and the
    others one colour each. Pixels have the levels that they get in a PNG.
    """
    if len(image) == 0:
        raise EmptyBatchError(what="images")
    first = image[0, ..., :3].expand(*image.shape[1:3], 3)
    bright = sum(weight * first[..., k] for k, weight in enumerate(_LUMA))
    planes = [first.mean(dim=-1), torch.as_tensor(bright), *first.unbind(dim=-1)]
    return Histograms(*(_count(plane) for plane in planes))


@node("CurveEditor", category="image/color", display_name="Curve Editor")
def curve_editor(
    curve: Annotated[Curve, Widget(default=_STRAIGHT)],
    histogram: Annotated[Histogram | None, Optional()] = None,
) -> Annotated[Curve, Name("curve")] | Ui:
    """Draw a curve in the editor, before a histogram if one is linked, and hand it on.

    Its points go from left to right, both values from 0 to 1; between them is a cubic curve that
    rises and falls with them only (`monotone_cubic`), or a line (`linear`).
    """
    _check(curve)
    return Ui(values={} if histogram is None else {"histogram": [*histogram]}, outputs=(curve,))


def _count(plane: Tensor) -> list[int]:
    """Return the number of pixels of each level of a plane [height, width]."""
    levels = to_bytes(plane[..., None].contiguous()).reshape(-1)
    return [int(count) for count in np.bincount(levels, minlength=_LEVELS)]


def _check(curve: object) -> None:
    """Make sure that a value is a curve.

    Raises:
        BadCurveError: it is not.
    """
    given = curve.get("points") if is_object(curve) else None
    way = curve.get("interpolation", _WAYS[0]) if is_object(curve) else None
    points = [_point(item) for item in given] if is_list(given) else []
    known = [point for point in points if point is not None]
    rises = all(one[0] < other[0] for one, other in pairwise(known))
    if way not in _WAYS or len(known) < 2 or len(known) < len(points) or not rises:
        raise BadCurveError(curve)


def _point(item: object) -> tuple[float, float] | None:
    """Return a point of a curve; None if it is none."""
    if not is_list(item) or len(item) != 2:
        return None
    x, y = item
    if not isinstance(x, int | float) or not isinstance(y, int | float):
        return None
    return (x, y) if 0 <= x <= 1 and 0 <= y <= 1 else None
