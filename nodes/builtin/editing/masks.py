"""Nodes that make, shape and combine masks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from nodegraph.definition.markers import Step
from nodegraph.definition.node import node
from nodes.builtin.editing.errors import OutsideError
from nodes.builtin.inputs import Offset, Ratio, Side
from nodes.imaging.batch import as_batch
from nodes.values import Mask

Operation = Literal["multiply", "add", "subtract", "and", "or", "xor"]


def _logical(combine: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda a, b: combine(a.round().bool(), b.round().bool()).to(a.dtype)


_OPERATIONS: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "multiply": torch.mul,
        "add": torch.add,
        "subtract": torch.sub,
        "and": _logical(torch.logical_and),
        "or": _logical(torch.logical_or),
        "xor": _logical(torch.logical_xor),
    }
)


@node("SolidMask", category="mask")
def solid_mask(
    value: Ratio = 1.0,
    width: Side = 512,
    height: Side = 512,
) -> Mask:
    """Make a mask of one value: [1, height, width]."""
    return torch.full((1, height, width), float(value))


@node("InvertMask", category="mask")
def invert_mask(mask: Mask) -> Mask:
    """Invert a mask: 1 - mask."""
    return 1.0 - mask


@node("MaskComposite", category="mask")
def mask_composite(
    *, destination: Mask, source: Mask, x: Offset = 0, y: Offset = 0, operation: Operation
) -> Mask:
    """Combine `source` with `destination`, its corner at (x, y); what sticks out is cut off.

    `add` and `subtract` stay within 0 and 1; `and`, `or` and `xor` round to 0 or 1 first.
    """
    result = as_batch(destination).clone()
    source = as_batch(source)
    below = result[:, y : y + source.shape[1], x : x + source.shape[2]]
    above = source[:, : below.shape[1], : below.shape[2]]
    below.copy_(_OPERATIONS[operation](below, above))
    return result.clamp_(0.0, 1.0)


@node("CropMask", category="mask")
def crop_mask(
    mask: Mask, x: Offset = 0, y: Offset = 0, width: Side = 512, height: Side = 512
) -> Mask:
    """Crop masks to a rectangle, smaller where the mask ends."""
    masks = as_batch(mask)
    high, wide = masks.shape[1:]
    if x >= wide or y >= high:
        raise OutsideError(what="mask", corner=(x, y), size=(wide, high))
    return masks[:, y : y + height, x : x + width].contiguous()


@node("GrowMask", category="mask")
def grow_mask(
    mask: Mask,
    expand: Annotated[int, Field(ge=-16384, le=16384), Step(1)] = 0,
    tapered_corners: bool = True,
) -> Mask:
    """Grow a mask by `expand` pixels, or shrink it if `expand` is negative.

    Each pixel becomes the largest (or smallest) value around it: within a square, or within a
    diamond if the corners are tapered. Pixels beyond the border are ignored.
    """
    masks = as_batch(mask)
    if expand < 0:
        return -_grow(-masks, -expand, tapered=tapered_corners)
    return _grow(masks, expand, tapered=tapered_corners)


@node("FeatherMask", category="mask")
def feather_mask(
    mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0
) -> Mask:
    """Fade a mask out towards its sides, linearly over the given number of pixels.

    As in ComfyUI, the ramps at the right and at the bottom are one pixel off: their first,
    faintest value falls on the first column, or row, instead of beyond the last.
    """
    masks = as_batch(mask)
    height, width = masks.shape[1:]
    rows = _ramp(height, top) * _ramp(height, bottom).flip(0).roll(1)
    columns = _ramp(width, left) * _ramp(width, right).flip(0).roll(1)
    return masks * rows[:, None].to(masks) * columns.to(masks)


@node("ThresholdMask", category="mask")
def threshold_mask(mask: Mask, value: Ratio = 0.5) -> Mask:
    """Threshold a mask: 1 where it is above `value`, 0 elsewhere."""
    return (mask > value).to(mask.dtype)


def _grow(masks: Tensor, pixels: int, *, tapered: bool) -> Tensor:
    """Return the maximum within `pixels` of each pixel: [batch, h, w]."""
    height, width = masks.shape[1:]
    x = masks[:, None]
    if not tapered:
        return _widest(x, min(pixels, height - 1), min(pixels, width - 1))[:, 0]
    for _ in range(min(pixels, height + width - 2)):
        x = torch.maximum(_widest(x, 1, 0), _widest(x, 0, 1))
    return x[:, 0]


def _widest(x: Tensor, rows: int, columns: int) -> Tensor:
    """Return the maximum around each pixel, over 2 * `rows` + 1 by 2 * `columns` + 1 pixels."""
    x = functional.max_pool2d(x, (2 * rows + 1, 1), stride=1, padding=(rows, 0))
    return functional.max_pool2d(x, (1, 2 * columns + 1), stride=1, padding=(0, columns))


def _ramp(length: int, over: int) -> Tensor:
    """Return weights [length] that rise from 1 / over to 1 over the first `over` pixels."""
    steps = min(over, length)
    return (torch.arange(1, length + 1) / max(steps, 1)).clamp(max=1.0)
