"""The tiles that block scales lie in for tensor cores.

A tile has the scales of 128 rows and 4 blocks of each: those of the rows r, r + 32, r + 64 and
r + 96 lie beside each other, 16 bytes in all
(https://docs.nvidia.com/cuda/cublas/index.html#d-block-scaling-factors-layout).
"""

import torch
from torch import Tensor

ROWS, COLUMNS = 128, 4
"""Of a tile."""
_BESIDE = 32


def untile(tiled: Tensor, rows: int, columns: int) -> Tensor:
    """Return the scales in plain order: [rows, columns] of a type of one byte, a view.

    Args:
        tiled: those of whole tiles, in any shape.
        rows: of the weight.
        columns: the blocks of a row.
    """
    down, across = -(rows // -ROWS), -(columns // -COLUMNS)
    tiles = tiled.view(torch.uint8).reshape(down, across, _BESIDE, COLUMNS, COLUMNS)
    plain = tiles.permute(0, 3, 2, 1, 4).reshape(down * ROWS, across * COLUMNS)
    return plain[:rows, :columns].view(tiled.dtype)


def tile(plain: Tensor) -> Tensor:
    """Return scales in tiles, with zeros where the last ones are not full: `untile` undone.

    Args:
        plain: [rows, columns] of a type of one byte.
    """
    rows, columns = plain.shape
    down, across = -(rows // -ROWS), -(columns // -COLUMNS)
    padded = torch.zeros(down * ROWS, across * COLUMNS, dtype=torch.uint8, device=plain.device)
    padded[:rows, :columns] = plain.view(torch.uint8)
    tiles = padded.reshape(down, COLUMNS, _BESIDE, across, COLUMNS)
    return tiles.permute(0, 3, 2, 1, 4).reshape(padded.shape).view(plain.dtype)
