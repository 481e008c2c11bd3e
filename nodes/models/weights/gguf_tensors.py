"""The tensors of a GGUF file, one at a time; on the CPU views of the mapped file."""

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nodes.models.weights.gguf import BLOCKS, Entry, read_gguf
from nodes.models.weights.quantized import GgufBlocks, QuantizedTensor

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufTensors:
    """An open file; see `nodes.models.weights.reader.TensorFile`."""

    path: Path
    entries: Mapping[str, Entry]
    """By their names in the file."""

    def get_tensor(self, name: str) -> Tensor:
        """Return one tensor, a `QuantizedTensor` if its type is a quantized one."""
        return _read(self.path, self.entries[name])

    def get_slice(self, name: str) -> "GgufRows":
        """Return the rows of one tensor, to be read when they are asked for."""
        return GgufRows(self.path, self.entries[name])


@dataclass(frozen=True, slots=True)
class GgufRows:
    """The rows of a tensor; see `nodes.models.weights.reader.TensorRows`."""

    path: Path
    entry: Entry

    def __getitem__(self, rows: slice) -> Tensor:
        """Return some rows; not quantized any more if a block has numbers of others too."""
        start, end, _ = rows.indices(self.entry.shape[0])
        part = _part(self.entry, start, end)
        if part is None:
            return _read(self.path, self.entry)[start:end].clone()
        return _read(self.path, part)


@contextmanager
def open_gguf(path: Path) -> Generator[GgufTensors]:
    """Open a file whose header has been checked; tensors may outlive the block."""
    yield GgufTensors(path, {entry.name: entry for entry in read_gguf(path)[0].values()})


def _part(entry: Entry, start: int, end: int) -> Entry | None:
    """Return the entry of some rows alone; None if they are not whole blocks."""
    size, wide = BLOCKS.get(entry.kind) or (1, _DTYPES[entry.kind].itemsize)
    columns = math.prod(entry.shape[1:])
    if start * columns % size or end * columns % size:
        return None
    first, last = (row * columns // size * wide for row in (start, end))
    shape = (end - start, *entry.shape[1:])
    return entry._replace(shape=shape, start=entry.start + first, nbytes=last - first)


def _read(path: Path, entry: Entry) -> Tensor:
    if not entry.nbytes:
        return torch.zeros(entry.shape, dtype=_DTYPES.get(entry.kind, torch.float32))
    # Copy on write: torch wants to be able to write, and the file stays as it is.
    mapped = np.memmap(path, np.uint8, "c", entry.start, (entry.nbytes,))
    raw = torch.frombuffer(mapped, dtype=torch.uint8)
    if entry.kind not in BLOCKS:
        return _align(raw, entry).view(_DTYPES[entry.kind]).reshape(entry.shape)
    size, wide = BLOCKS[entry.kind]
    rows, columns = entry.shape[0], math.prod(entry.shape[1:])
    packed = raw if columns % size else raw.reshape(rows, columns // size * wide)
    return QuantizedTensor(packed, GgufBlocks(entry.kind), entry.shape, torch.float32)


def _align(raw: Tensor, entry: Entry) -> Tensor:
    """Return the bytes at an address where a view in the tensor's type may begin."""
    return raw if entry.start % _DTYPES[entry.kind].itemsize == 0 else raw.clone()
