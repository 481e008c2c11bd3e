"""The share of the device that a network has, and the places that its weights have for it."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from nodes.models.residency.errors import TooSmallShareError
from nodes.models.residency.layout import stored_nbytes
from nodes.models.residency.split import Split, least_share, park_all, split
from nodes.models.residency.units import Division, Parts, divide


class DeviceShare:
    """The bytes of the device that a network may take; all that it wants until `limit` is set.

    Args:
        title: the network's, for errors.
        parts: of its class.
    """

    def __init__(self, title: str, parts: Parts) -> None:
        self.limit: int | None = None
        """Bytes; less than the network can compute with: it is parked whole."""
        self._title = title
        self._parts = parts

    def split(self, skeleton: Callable[[], nn.Module], sizes: Mapping[str, int]) -> Split:
        """Return the places of weights of some sizes, by key; all on the host if they are parked.

        Args:
            skeleton: returns the network's modules; asked only if its weights do not all stay.
            sizes: the bytes of each weight.
        """
        total = sum(sizes.values())
        if self.limit is None or total <= self.limit:
            return Split(tuple(sizes), held_bytes=total)
        divided = self._divide(skeleton(), sizes)
        return split(divided, sizes, self.limit) or park_all(divided, sizes)

    def least(self, skeleton: Callable[[], nn.Module], sizes: Mapping[str, int]) -> int:
        """Return the fewest bytes that the network can compute with."""
        return least_share(self._divide(skeleton(), sizes), sizes)

    def must_compute(self, skeleton: Callable[[], nn.Module], sizes: Mapping[str, int]) -> None:
        """Raise the limit of a network that was parked whole to what it can not do without.

        Raises:
            TooSmallShareError: it has a share, but one that is smaller.
        """
        if self.limit is None or self.limit >= sum(sizes.values()):
            return
        least = self.least(skeleton, sizes)
        if 0 < self.limit < least:
            raise TooSmallShareError(self._title, self.limit, least)
        self.limit = max(self.limit, least)

    def _divide(self, network: nn.Module, sizes: Mapping[str, int]) -> Callable[[int], Division]:
        return lambda largest: divide(network, sizes, largest, self._parts)


def sizes_of(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the bytes of each weight, as it is stored."""
    return {key: stored_nbytes(weight) for key, weight in weights.items()}
