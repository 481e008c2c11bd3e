"""Weights that are read when they are asked for: plain, quantized, or fp8 with a scale."""

from collections.abc import Callable, Collection, Iterator, Mapping

import torch
from torch import Tensor

from nodes.models.weights.formats.layer_numbers import arrange, layer_numbers
from nodes.models.weights.formats.markers import unreadable
from nodes.models.weights.header import Header
from nodes.models.weights.key_convert import to_network
from nodes.models.weights.key_table import Source
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.reader import TensorFiles
from nodes.models.weights.stored_bytes import StoredPart
from nodes.models.weights.tensor_info import TensorInfo


def read_weight(header: Header, files: TensorFiles, source: Source, dtype: torch.dtype) -> Tensor:
    """Read one weight; a `QuantizedTensor` if its tensor is quantized or has a scale.

    Of a tensor that holds several weights, its own rows alone are read.

    Args:
        header: of the file that has the tensor.
        files: to read it from, in the order of `stored_parts`.
        source: the tensor, and which part of it.
        dtype: the precision that a quantized one is computed with.

    Raises:
        WeightFileError: its layer lacks a tensor that says what its numbers mean.
    """
    info = header.tensors[source.key]
    rows = _rows(info, source)
    part = files.tensor(info.as_stored, rows)
    if info.layer is not None:
        part = _layer(files, info, part, rows, dtype)
    return to_network(source.op, part)


def stored_parts(header: Header, source: Source) -> list[StoredPart]:
    """Return the tensors, or the rows of them, that a weight is read from, in that order."""
    info = header.tensors[source.key]
    rows = _rows(info, source)
    beside = info.layer.parts.values() if info.layer else ()
    read = (StoredPart(part, _part_rows(part, info, rows)) for part in beside if part.numel > 1)
    return [StoredPart(info.as_stored, rows), *read]


def _rows(info: TensorInfo, source: Source) -> slice | None:
    """Return the rows of a tensor that are the weight's; None if all are."""
    return source.rows(info.shape[0]) if source.slots > 1 else None


def _part_rows(part: TensorInfo, weight: TensorInfo, rows: slice | None) -> slice | None:
    """Return the rows that are read of a tensor beside a weight; None for all."""
    assert weight.layer is not None
    name = next(name for name, each in weight.layer.parts.items() if each is part)
    return rows if weight.layer.format.kind.parts[name].place == "rows" else None


def _layer(
    files: TensorFiles, info: TensorInfo, packed: Tensor, rows: slice | None, dtype: torch.dtype
) -> QuantizedTensor:
    """Return a layer's weight, or some of its rows, of its tensor and of those beside it."""
    layer = info.layer
    assert layer is not None
    if layer.missing:
        name = info.name.removesuffix(".weight")
        reason = f"in the format {layer.format.name}, it has no {layer.missing[0]}"
        raise unreadable(info.file, name, reason)
    parts = {
        name: torch.tensor([files.number(part)], device=packed.device)
        if part.numel == 1
        else files.tensor(part, _part_rows(part, info, rows))
        for name, part in layer.parts.items()
    }
    plain = {
        name: arrange(layer.format, name, part, info.shape, rows) for name, part in parts.items()
    }
    quantization = layer_numbers(layer.format, plain)
    return QuantizedTensor(packed, quantization, (len(packed), *info.shape[1:]), dtype)


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
