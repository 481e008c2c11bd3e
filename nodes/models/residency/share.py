"""The share of the device that a network has, and the places that its weights have for it."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias

from torch import Tensor, nn

from nodes.models.residency.errors import TooSmallShareError
from nodes.models.residency.layout import stored_nbytes
from nodes.models.residency.split import Divide, Split, least_share, park, split, steady_share
from nodes.models.residency.units import Parts, divide

Skeleton: TypeAlias = Callable[[], nn.Module]
"""Returns a network's modules without their weights."""


class DeviceShare:
    """The bytes of the device that a network may take; all that it wants until `limit` is set.

    Args:
        title: the network's, for errors.
        parts: of its class.
    """

    def __init__(self, title: str, parts: Parts) -> None:
        self.limit: int | None = None
        """Bytes; with fewer than the network can compute with it is parked whole."""
        self.waits = False
        """True if it is not to compute before it gets another limit."""
        self._title = title
        self._parts = parts
        self._divided: tuple[dict[str, int], Divide] | None = None
        """The sizes of the weights that were divided last, and their division."""

    def split(
        self,
        skeleton: Skeleton,
        sizes: Mapping[str, int],
        there: Collection[str] = (),
        *,
        computes: bool,
    ) -> Split:
        """Return the places of a network's weights; all on the host if it is parked whole.

        Args:
            skeleton: asked only if not all weights stay.
            sizes: the bytes of each weight, by key.
            there: the weights that are on the device.
            computes: it is about to: one that waited gets at least what it can not do without.

        Raises:
            TooSmallShareError: it is about to compute, and has a share that is too small.
        """
        total, waits = sum(sizes.values()), self.waits and not computes
        if self.limit is None or (total <= self.limit and not waits):
            return Split(tuple(sizes), held_bytes=total)
        divided = self._divide(skeleton, sizes)
        if waits:
            return park(divided, sizes, self.limit, there)
        found = split(divided, sizes, self.limit)
        if found is None and computes:
            least = least_share(divided, sizes)
            if self.limit and not self.waits:
                raise TooSmallShareError(self._title, self.limit, least)
            found = split(divided, sizes, least)
        return found or park(divided, sizes)

    def steady(self, skeleton: Skeleton, sizes: Mapping[str, int]) -> int:
        """Return the bytes with which the network streams only what is seldom called."""
        return steady_share(self._divide(skeleton, sizes), sizes)

    def least(self, skeleton: Skeleton, sizes: Mapping[str, int]) -> int:
        """Return the fewest bytes that the network can compute with."""
        return least_share(self._divide(skeleton, sizes), sizes)

    def _divide(self, skeleton: Skeleton, sizes: Mapping[str, int]) -> Divide:
        if self._divided is None or self._divided[0] != sizes:
            network, own = skeleton(), dict(sizes)
            self._divided = own, lambda largest: divide(network, own, largest, self._parts)
        return self._divided[1]


def sizes_of(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the bytes of each weight, as it is stored."""
    return {key: stored_nbytes(weight) for key, weight in weights.items()}
