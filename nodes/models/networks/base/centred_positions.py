"""Rotary positions of pictures, counted from their centres, in Qwen-Image's transformers."""

import torch
from torch import Tensor

_BASE = 10_000.0
"""The base of the rotary positions' frequencies."""


def places(number: int, rows: int, columns: int, frames: int = 1) -> Tensor:
    """Return (frame, row, column) of every patch of a picture: [patches, 3] on the CPU.

    Args:
        number: of the first frame.
        rows: of patches; the middle one is 0.
        columns: likewise.
        frames: of the picture.
    """
    ranges = (
        torch.arange(number, number + frames, device="cpu"),
        torch.arange(rows // 2 - rows, rows // 2, device="cpu"),
        torch.arange(columns // 2 - columns, columns // 2, device="cpu"),
    )
    return torch.stack(torch.meshgrid(*ranges, indexing="ij"), dim=-1).reshape(-1, 3)


def turn(axes: tuple[int, ...], places: Tensor) -> Tensor:
    """Return the turns at places, [number, 3], as complex numbers of length 1.

    Args:
        axes: the numbers of a head that turn with frame, row and column.
        places: of patches or tokens.
    """
    angles: list[Tensor] = []
    for axis, place in zip(axes, places.unbind(-1), strict=True):
        share = torch.arange(0, axis, 2, device="cpu").float() / axis
        angles.append(torch.outer(place, 1.0 / torch.pow(_BASE, share)))
    angle = torch.cat(angles, dim=1)
    return torch.polar(torch.ones_like(angle), angle)
