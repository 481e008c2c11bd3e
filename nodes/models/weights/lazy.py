"""Weights as their file has them: plain, quantised, or in few bits with a scale beside them."""

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

from nodes.models.weights.header import Header
from nodes.models.weights.key_convert import from_file
from nodes.models.weights.key_table import Source
from nodes.models.weights.quantized import PackedTensor, Rounded, precise
from nodes.models.weights.reader import TensorFiles

_SCALES = ("scale_weight", "weight_scale")


def stored(header: Header, files: TensorFiles, source: Source, dtype: torch.dtype) -> Tensor:
    """One weight; packed if its tensor is quantised, or has a scale.

    Args:
        header: says where the tensor lies.
        files: to read it from.
        source: the tensor, and which part of it.
        dtype: what a packed one is unpacked to.
    """
    whole = files.tensor(header.tensors[source.key])
    scale = scale_of(header, source.key)
    if scale is not None:
        rounded = Rounded(float(files.tensor(header.tensors[scale])))
        whole = PackedTensor(whole, rounded, whole.shape, dtype)
    return from_file(source, whole)


def is_packed(header: Header, key: str) -> bool:
    """Whether a tensor is quantised, or has a scale."""
    return header.tensors[key].is_packed or scale_of(header, key) is not None


def scale_of(header: Header, key: str) -> str | None:
    """The key of the number that a tensor has to be multiplied by, if any."""
    names = (key.removesuffix("weight") + name for name in _SCALES)
    return next((name for name in names if name in header), None)


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
