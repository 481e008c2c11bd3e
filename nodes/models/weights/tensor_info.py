"""Types, shapes and places of tensors, as headers have them, and the layers that they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.formats.layer_formats import (
    BLOCK_SCALES,
    NAMES,
    SCALED,
    LayerFormat,
)
from nodes.models.weights.formats.markers import unreadable

BITS = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16,
    "BF16": 16, "I16": 16, "U16": 16, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8, "I8": 8, "U8": 8, "BOOL": 8, "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip
"""The bits of a number of each type that safetensors files name."""
_UNSAID = {
    "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F32": SCALED, "F16": SCALED, "BF16": SCALED,
}  # fmt: skip
"""The formats of layers with a scale that nothing else is said of, by the weight's type."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The dtype, shape and place of one tensor, as the header has them."""

    dtype: str
    shape: tuple[int, ...]
    file: Path = Path()
    """The file that holds it."""
    name: str = ""
    """Its name in that file."""
    start: int = 0
    """The offset of its first byte in that file."""
    layer: "StoredLayer | None" = None
    """The layer in few bits whose weight it is; `shape` is then that of the weight."""

    @property
    def as_stored(self) -> "TensorInfo":
        """The tensor as the file has it, for itself."""
        return self if self.layer is None else self.layer.weight

    @property
    def format(self) -> str:
        """The format of its layer, or its dtype."""
        return self.dtype if self.layer is None else self.layer.format.title

    @property
    def numel(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def is_quantized(self) -> bool:
        """True if it has a scale, or its type is one of GGUF's quantized ones."""
        return self.layer is not None or self.dtype in BLOCKS

    @property
    def nbytes(self) -> int:
        """Its size in the file in bytes, with what its layer needs; 0 if its type is not known."""
        if self.layer is not None:
            return self.layer.nbytes * self.numel // self.layer.numel
        if self.dtype in BLOCKS:
            size, wide = BLOCKS[self.dtype]
            return self.numel // size * wide
        return self.numel * BITS.get(self.dtype, 0) // 8


@dataclass(frozen=True, slots=True)
class StoredLayer:
    """A layer in few bits, as the file has it."""

    format: LayerFormat
    weight: TensorInfo
    """The weight's tensor, for itself."""
    numel: int
    """The number of the weight's elements."""
    beside: Mapping[str, TensorInfo]
    """All tensors beside it, by their names after that of the layer."""

    @property
    def parts(self) -> Mapping[str, TensorInfo]:
        """The tensors that its numbers depend on, as the format names them."""
        named = {
            name: next((each for each in part.names if each in self.beside), None)
            for name, part in self.format.kind.parts.items()
        }
        return {name: self.beside[each] for name, each in named.items() if each is not None}

    @property
    def missing(self) -> Sequence[str]:
        """The names of the tensors that are not there and have to be."""
        parts = self.format.kind.parts.items()
        return [
            part.names[0] for name, part in parts if part.is_required and name not in self.parts
        ]

    @property
    def nbytes(self) -> int:
        """The bytes of the weight and its parts, without what fills up tiles."""
        kinds, parts = self.format.kind.parts, self.parts
        blocks = self.numel // (self.format.group or 1)
        beside = sum(
            blocks if kinds[name].place == "tiles" else part.nbytes for name, part in parts.items()
        )
        return self.weight.nbytes + beside


def join_layers(
    path: Path, tensors: Mapping[str, TensorInfo], formats: Mapping[str, LayerFormat]
) -> dict[str, TensorInfo]:
    """Return tensors without those beside the weights of layers, which are with these weights."""
    joined = dict(tensors)
    for key, info in tensors.items():
        base = key.removesuffix("weight")
        beside = {name: tensors[base + name] for name in NAMES if base + name in tensors}
        layer = base.removesuffix(".")
        if base == key or not (beside or layer in formats):
            continue
        format_ = formats.get(layer) or _unsaid_format(path, layer, info, beside)
        if format_ is None:
            continue
        shapes = {name: part.shape for name, part in beside.items()}
        fault = format_.fault(info.shape, info.dtype, shapes)
        if fault:
            raise unreadable(path, layer, f"in the format {format_.name}, {fault}")
        shape = format_.shape(info.shape, shapes)
        stored = StoredLayer(format_, info, math.prod(shape), beside)
        joined[key] = replace(info, shape=shape, layer=stored)
        for name in beside:
            del joined[base + name]
    return joined


def _unsaid_format(
    path: Path, layer: str, weight: TensorInfo, beside: Mapping[str, TensorInfo]
) -> LayerFormat | None:
    """Return the format of a layer of which the file says none; None if it is a plain weight."""
    if BLOCK_SCALES in beside:
        raise unreadable(path, layer, f"it has scales for blocks ({BLOCK_SCALES})")
    if not {"weight_scale", "scale_weight"} & beside.keys():
        return None
    if weight.dtype in _UNSAID:
        return LayerFormat(_UNSAID[weight.dtype])
    reason = f"it is of type {weight.dtype} and has a scale, but nothing says its format"
    raise unreadable(path, layer, reason)
