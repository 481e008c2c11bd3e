"""The rotation of groups of features that spreads large numbers before they are rounded (ConvRot).

It is multiplication by a Kronecker power of a 4x4 Hadamard matrix, divided by the root of its size.
That is symmetric and orthogonal, so that it undoes itself, and is the same on weights as on inputs.
"""

import torch
from torch import Tensor


def rotate(matrix: Tensor, group: int) -> Tensor:
    """Rotate each group of columns of a matrix, or undo that: [rows, columns] float32.

    Args:
        matrix: [rows, columns] float32.
        group: the columns that are rotated together, a power of four that divides their number.
    """
    grouped = matrix.reshape(len(matrix), -1, group)
    return (grouped @ hadamard(group, matrix.device)).reshape(matrix.shape)


def hadamard(size: int, device: torch.device) -> Tensor:
    """Return the rotation of so many columns: [size, size] float32.

    Written in base 4, an entry is negative where an odd number of digits of its row and its column
    add up to 3. It is made of plain numbers, so that no constant is copied to the device.
    """
    index = torch.arange(size, dtype=torch.int16, device=device)
    differ = index[:, None] ^ index
    both = (differ >> 1).bitwise_and_(differ).bitwise_and_(0x5555)  # a bit for each such digit
    for shift in (8, 4, 2):
        both.bitwise_xor_(both >> shift)
    root = size**0.5
    return both.bitwise_and_(1).float().mul_(-2 / root).add_(1 / root)
