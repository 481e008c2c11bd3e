"""Nodes that make and combine masks."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from nodegraph.define import node
from nodegraph.markers import Step
from nodes.values import Mask

Side = Annotated[int, Field(ge=1, le=16384), Step(1)]
Offset = Annotated[int, Field(ge=0, le=16384), Step(1)]
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
    value: Annotated[float, Field(ge=0.0, le=1.0), Step(0.01)] = 1.0,
    width: Side = 512,
    height: Side = 512,
) -> Mask:
    """A mask of one value everywhere: [1, height, width]."""
    return torch.full((1, height, width), float(value))


@node("InvertMask", category="mask")
def invert_mask(mask: Mask) -> Mask:
    """1 - mask: what was kept is made anew, and the other way round."""
    return 1.0 - mask


@node("MaskComposite", category="mask")
def mask_composite(
    *, destination: Mask, source: Mask, x: Offset = 0, y: Offset = 0, operation: Operation
) -> Mask:
    """Lay `source` onto `destination`, its corner at (x, y); what sticks out is cut off.

    `add` and `subtract` stay within 0 and 1; `and`, `or` and `xor` round to 0 or 1 first.
    """
    result = destination.reshape(-1, *destination.shape[-2:]).clone()
    source = source.reshape(-1, *source.shape[-2:])
    below = result[:, y : y + source.shape[1], x : x + source.shape[2]]
    above = source[:, : below.shape[1], : below.shape[2]]
    below.copy_(_OPERATIONS[operation](below, above))
    return result.clamp_(0.0, 1.0)
