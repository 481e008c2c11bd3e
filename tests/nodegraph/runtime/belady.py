"""The fewest bytes that can move to a memory, for tests of what stays there."""

from collections.abc import Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """Bytes that are read together."""

    name: str
    nbytes: int


def fewest_bytes(reads: Sequence[Piece], room: int) -> int:
    """The least bytes that move to a memory of a size from which pieces are read in an order.

    Belady's rule with foreknowledge of all reads, for pieces of which any part may stay: what is
    read the latest goes first, be it what has just been read.
    """
    following: dict[str, int] = {}
    next_read = [0] * len(reads)
    for number in range(len(reads) - 1, -1, -1):
        next_read[number] = following.get(reads[number].name, len(reads) + number)
        following[reads[number].name] = number
    kept: dict[str, tuple[int, int]] = {}  # the next read, and the bytes that are there
    moved = 0
    for piece, when in zip(reads, next_read, strict=True):
        _, there = kept.pop(piece.name, (0, 0))
        moved += piece.nbytes - there
        kept[piece.name] = when, piece.nbytes
        surplus = sum(nbytes for _, nbytes in kept.values()) - room
        while surplus > 0:
            name = max(kept, key=lambda each: kept[each][0])
            at, nbytes = kept.pop(name)
            if nbytes > surplus:
                kept[name] = at, nbytes - surplus
            surplus -= nbytes
    return moved
