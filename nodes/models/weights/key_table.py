"""Key tables: which tensor of a file a network's weight comes from, and by which conversion.

One table serves for loading, for exporting (backwards), and for finding the weight of a LoRA's key.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Op: TypeAlias = Literal["id", "conv1x1", "transpose", "swap", "frame", "sixths"]
"""The conversion from the file's layout to the network's.

`id`: none; `conv1x1`: a 1x1 convolution becomes a linear layer; `transpose`: a matrix is
transposed; `swap`: the two halves of the first dimension change places; `frame`: a convolution
over a video's one frame becomes one over a picture; `sixths`: a list becomes a matrix of six rows.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """The tensor that a weight comes from: `span` of the `slots` equal parts of `key`."""

    key: str
    op: Op = "id"
    slot: int = 0
    """The first of those parts."""
    slots: int = 1
    span: int = 1

    def share(self, size: int) -> int:
        """Return this weight's part of a size that all the parts have together."""
        return size * self.span // self.slots

    def rows(self, size: int) -> slice:
        """Return this weight's rows of a tensor with `size` rows, which all the parts share."""
        start = size // self.slots * self.slot
        return slice(start, start + self.share(size))


KeyTable: TypeAlias = Mapping[str, Source]
"""The network's key → its source."""


def identity_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """Return the key table of a network whose file has the network's own names."""
    return {key: Source(prefix + key) for key in keys}
