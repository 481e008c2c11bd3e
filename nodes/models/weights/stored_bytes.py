"""The bytes of tensors in safetensors and GGUF files, and the tensors that such bytes are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.formats.gguf_blocks import gguf_blocks
from nodes.models.weights.quantized import QuantizedTensor
from nodes.models.weights.tensor_info import TensorInfo

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
}  # fmt: skip
"""The dtypes of plain numbers, by their names in the files."""


class ByteRange(NamedTuple):
    """Bytes of a file, one after the other."""

    path: Path
    start: int
    nbytes: int


def stored_rows(kind: str, shape: Sequence[int], rows: slice) -> tuple[int, int] | None:
    """Return the first byte of some rows in their tensor, and their number of bytes.

    Args:
        kind: the tensor's type.
        shape: its shape.
        rows: of its first dimension, without a step.

    Returns:
        None if they are not whole blocks, so that a block has numbers of other rows too.
    """
    size, wide = BLOCKS.get(kind) or (1, DTYPES[kind].itemsize)
    columns = math.prod(shape[1:])
    start, end, _ = rows.indices(shape[0])
    if start * columns % size or end * columns % size:
        return None
    first, last = (row * columns // size * wide for row in (start, end))
    return first, last - first


def tensor_of(raw: Tensor, kind: str, shape: Sequence[int]) -> Tensor:
    """Return the tensor that bytes are, a view of them; a `QuantizedTensor` if its type is one.

    Args:
        raw: [nbytes] uint8, on any device, where a view in the tensor's type may begin.
        kind: the tensor's type.
        shape: its shape.
    """
    if kind not in BLOCKS:
        return raw.view(DTYPES[kind]).reshape(tuple(shape))
    size, wide = BLOCKS[kind]
    rows, columns = shape[0], math.prod(shape[1:])
    packed = raw if columns % size else raw.reshape(rows, columns // size * wide)
    return QuantizedTensor(packed, gguf_blocks(kind, raw.device), shape, torch.float32)


class StoredPart(NamedTuple):
    """A tensor of a file, or some of its rows."""

    info: TensorInfo
    rows: slice | None = None
    """None: all."""

    def find(self) -> TensorInfo | None:
        """Return it as a tensor by itself; None if its bytes alone are not that."""
        info, rows = self.info, self.rows
        if (info.dtype not in DTYPES and info.dtype not in BLOCKS) or not info.nbytes:
            return None
        if info.dtype in BLOCKS and math.prod(info.shape[1:]) % BLOCKS[info.dtype][0]:
            return None  # its rows may be longer in the file
        if rows is None:
            return info
        found = stored_rows(info.dtype, info.shape, rows)
        if found is None or not found[1]:
            return None
        count = len(range(*rows.indices(info.shape[0])))
        return replace(info, shape=(count, *info.shape[1:]), start=info.start + found[0])
