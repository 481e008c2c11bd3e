"""The fewest bytes that can move to a memory, and those by LRU, for tests of what stays there."""

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


def bytes_by_lru(reads: Sequence[Piece], room: int) -> int:
    """The bytes that move if pieces leave whole, the least recently read first.

    One that is larger than the room passes through, and everything else leaves.
    """
    kept: dict[str, int] = {}  # the last read at the end
    moved = 0
    for name, nbytes in reads:
        moved += 0 if name in kept else nbytes
        kept.pop(name, None)
        while kept and sum(kept.values()) + nbytes > room:
            del kept[next(iter(kept))]
        if nbytes <= room:
            kept[name] = nbytes
    return moved
