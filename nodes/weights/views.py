"""Weights by their names that are read, or made exact, when somebody asks for them."""

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

from nodes.weights.packed import precise


class OnDemand(Mapping[str, Tensor]):
    """Weights that are read each time when they are asked for."""

    def __init__(self, keys: Collection[str], read: Callable[[str], Tensor]) -> None:
        self._keys = keys
        self._read = read

    def __getitem__(self, key: str) -> Tensor:
        if key not in self._keys:
            raise KeyError(key)
        return self._read(key)

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class Precise(OnDemand):
    """Weights in full precision, whatever they are kept in.

    A change can be smaller than what separates two narrow numbers.
    """

    def __init__(self, weights: Mapping[str, Tensor], dtype: torch.dtype) -> None:
        super().__init__(weights, lambda key: precise(weights[key], dtype))
