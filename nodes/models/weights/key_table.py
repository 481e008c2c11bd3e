"""Key tables: which tensor of a file a network's weight comes from, and by which conversion.

One table serves loading, exporting (the inverse) and finding what a LoRA's key means.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

Op: TypeAlias = Literal["id", "conv1x1", "transpose", "swap"]
"""From the file's layout to the network's.

`id` as it is, `conv1x1` a 1x1 convolution that the network has as a linear layer, `transpose` a
matrix stored the other way round, `swap` the two halves of the first dimension exchanged.
"""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a weight comes from: `span` of `slots` equal parts of the tensor `key`."""

    key: str
    op: Op = "id"
    slot: int = 0
    """The first of them."""
    slots: int = 1
    span: int = 1

    def share(self, size: int) -> int:
        """How much of `size`, which all the parts have together, is its own."""
        return size * self.span // self.slots


KeyTable: TypeAlias = Mapping[str, Source]
"""The network's key → its source."""


def identity_table(keys: Iterable[str], prefix: str) -> dict[str, Source]:
    """The sources of a network whose file has its own names."""
    return {key: Source(prefix + key) for key in keys}
