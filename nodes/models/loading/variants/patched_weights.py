"""A network's weights while patches change them, one after the other."""

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

from nodes.models.loading.placement import Placement
from nodes.models.residency.placement import move
from nodes.models.weights.quantized import full_precision


class PatchedWeights(Mapping[str, Tensor]):
    """The weights as they are now, in full precision however they are stored.

    A patch may change a weight by less than one step of fp8.

    Args:
        weights: those before the first patch; one that is not there is read when it is asked for.
        keys: of all weights.
        read: reads one from the file.
        place: the device and the precision that is computed in.
        free: is told of each weight that is replaced, and what by.
        home: the device where changed weights wait, in full precision; None: where they are made,
            or of some keys on the host as they are kept.
    """

    def __init__(
        self,
        weights: Mapping[str, Tensor],
        keys: Mapping[str, object],
        read: Callable[[str], Tensor],
        place: Placement,
        *,
        free: Callable[[str, Tensor], None] | None = None,
        home: str | Collection[str] | None = None,
    ) -> None:
        self.changed: dict[str, Tensor] = {}
        """The weights that patches have changed, as they are kept."""
        self._weights = weights
        self._keys = keys
        self._read = read
        self._place = place
        self._free = free
        self._home = home if isinstance(home, str) else None
        self._hosted = () if home is None or isinstance(home, str) else home

    def __getitem__(self, key: str) -> Tensor:
        return self.in_full_precision(self.stored_weight(key))

    def in_full_precision(self, stored: Tensor) -> Tensor:
        """Return a weight in full precision on the device, however and wherever it is kept."""
        return full_precision(move(stored, self._place.device), self._place.dtype)

    def stored_weight(self, key: str) -> Tensor:
        """Return a weight as it is kept, which may be quantized.

        Raises:
            KeyError: there is none of that name.
        """
        for weights in (self.changed, self._weights):
            if key in weights:
                return weights[key]
        if key not in self._keys:
            raise KeyError(key)
        return self._read(key)

    def replace(self, key: str, weight: Tensor) -> None:
        """Take a weight instead of the one that was there."""
        if self._home is not None:
            weight = full_precision(weight, self._place.dtype).to(self._home)
        weight = self._place.lay_out(weight)
        if key in self._hosted:
            weight = move(weight, torch.device("cpu"))
        self.changed[key] = weight
        if self._free is not None:
            self._free(key, weight)

    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Take some weights instead of those that were there."""
        for key, weight in weights.items():
            self.replace(key, weight)

    def __contains__(self, key: object) -> bool:
        return key in self._keys or key in self.changed

    def __iter__(self) -> Iterator[str]:
        yield from self._keys
        yield from (key for key in self.changed if key not in self._keys)

    def __len__(self) -> int:
        return len(self._keys.keys() | self.changed.keys())
