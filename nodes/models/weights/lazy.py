"""Weights that are read when they are asked for: plain, quantized, or fp8 with a scale."""

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

from nodes.models.weights.header import Header
from nodes.models.weights.key_convert import to_network
from nodes.models.weights.key_table import Source
from nodes.models.weights.quantized import QuantizedTensor, scaled_fp8
from nodes.models.weights.reader import TensorFiles
from nodes.models.weights.stored_bytes import StoredPart

_SCALES = ("scale_weight", "weight_scale")


def read_weight(header: Header, files: TensorFiles, source: Source, dtype: torch.dtype) -> Tensor:
    """Read one weight; a `QuantizedTensor` if its tensor is quantized or has a scale.

    Of a tensor that holds several weights, its own rows alone are read.

    Args:
        header: of the file that has the tensor.
        files: to read it from.
        source: the tensor, and which part of it.
        dtype: the precision that a quantized one is computed with.
    """
    part = files.tensor(*stored_part(header, source))
    scale = scale_of(header, source.key)
    if scale is not None:
        scaled = scaled_fp8(files.number(header.tensors[scale]), part.device)
        part = QuantizedTensor(part, scaled, part.shape, dtype)
    return to_network(source.op, part)


def stored_part(header: Header, source: Source) -> StoredPart:
    """Return the tensor or the rows of one that a weight is read from."""
    info = header.tensors[source.key]
    return StoredPart(info, source.rows(info.shape[0]) if source.slots > 1 else None)


def is_quantized(header: Header, key: str) -> bool:
    """Return True for a tensor that is quantized or has a scale."""
    return header.tensors[key].is_quantized or scale_of(header, key) is not None


def scale_of(header: Header, key: str) -> str | None:
    """Return the key of the number that a tensor has to be multiplied by, if there is one."""
    names = (key.removesuffix("weight") + name for name in _SCALES)
    return next((name for name in names if name in header), None)


class LazyTensors(Mapping[str, Tensor]):
    """Weights that are read anew each time they are asked for."""

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
