"""The tensors of a weights file, mapped one by one; on the CPU views of the file.

Those of GGUF files are, which the library of safetensors does not read, and those of safetensors
files that are larger than the machine's memory: Linux refuses to map so much at once if it may be
written to, as torch wants.
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nodes.models.weights.errors import WeightFileError
from nodes.models.weights.formats.gguf import BLOCKS, Entry, read_gguf
from nodes.models.weights.header import stored_header
from nodes.models.weights.stored_bytes import DTYPES, stored_rows, tensor_of


@dataclass(frozen=True, slots=True)
class MappedTensors:
    """An open file; see `nodes.models.weights.reader.TensorFile`."""

    path: Path
    entries: Mapping[str, Entry]
    """By their names in the file."""

    def get_tensor(self, name: str) -> Tensor:
        """Return one tensor, a `QuantizedTensor` if its type is a quantized one."""
        return _read(self.path, self._entry(name))

    def get_slice(self, name: str) -> "MappedRows":
        """Return the rows of one tensor, to be read when they are asked for."""
        return MappedRows(self.path, self._entry(name))

    def _entry(self, name: str) -> Entry:
        entry = self.entries[name]
        if entry.kind not in DTYPES and entry.kind not in BLOCKS:
            reason = f"its tensor {entry.name!r} is of type {entry.kind}, which is not read here"
            raise WeightFileError(self.path, reason, code="not_safetensors")
        return entry


@dataclass(frozen=True, slots=True)
class MappedRows:
    """The rows of a tensor; see `nodes.models.weights.reader.TensorRows`."""

    path: Path
    entry: Entry

    def __getitem__(self, rows: slice) -> Tensor:
        """Return some rows; not quantized any more if a block has numbers of others too."""
        entry = self.entry
        found = stored_rows(entry.kind, entry.shape, rows)
        if found is None:
            return _read(self.path, entry)[rows].clone()
        count = len(range(*rows.indices(entry.shape[0])))
        first, nbytes = found
        shape = (count, *entry.shape[1:])
        return _read(
            self.path, entry._replace(shape=shape, start=entry.start + first, nbytes=nbytes)
        )


def map_gguf(path: Path) -> AbstractContextManager[MappedTensors]:
    """Open a GGUF file whose header has been checked; tensors may outlive the block."""
    return _by_name(path, read_gguf(path)[0].values())


def map_safetensors(path: Path) -> AbstractContextManager[MappedTensors]:
    """Open a safetensors file whose header has been checked; tensors may outlive the block."""
    infos = stored_header(path).tensors.values()
    return _by_name(
        path, (Entry(each.name, each.dtype, each.shape, each.start, each.nbytes) for each in infos)
    )


def _by_name(path: Path, entries: Iterable[Entry]) -> AbstractContextManager[MappedTensors]:
    return nullcontext(MappedTensors(path, {entry.name: entry for entry in entries}))


def _read(path: Path, entry: Entry) -> Tensor:
    if not entry.nbytes:
        return torch.zeros(entry.shape, dtype=DTYPES.get(entry.kind, torch.float32))
    # Copy on write: torch wants to be able to write, and the file stays as it is.
    mapped = np.memmap(path, np.uint8, "c", entry.start, (entry.nbytes,))
    raw = torch.frombuffer(mapped, dtype=torch.uint8)
    return tensor_of(_align(raw, entry), entry.kind, entry.shape)


def _align(raw: Tensor, entry: Entry) -> Tensor:
    """Return the bytes at an address where a view in the tensor's type may begin."""
    is_aligned = entry.kind in BLOCKS or entry.start % DTYPES[entry.kind].itemsize == 0
    return raw if is_aligned else raw.clone()
