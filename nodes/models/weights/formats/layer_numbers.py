"""The numbers of layers in few bits, unpacked by a few operations of torch on their own device.

Everything is computed in float32, and rounded to the dtype that is wanted once. Shifts and masks
are plain numbers, so that no constant is copied to the device, and torch can trace all of it. The
order of bits is that of comfy-kitchen; see `nodes.models.weights.formats.layer_formats`.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor

from nodes.models.weights.formats.layer_formats import LayerFormat
from nodes.models.weights.formats.rotation import rotate
from nodes.models.weights.formats.tiles import untile
from nodes.models.weights.quantized import Quantization, ScaledFp8

Parts: TypeAlias = Mapping[str, Tensor]
"""The tensors beside a weight, with a row for each of its rows, or the same for all."""
_AT_ONCE = 1 << 22
"""The numbers that are unpacked at a time: a large matrix takes little memory in float32."""
_FP4_IN_FP8 = 64.0
"""The factor between a number in fp4 and the one that its bits are in float8_e4m3fn."""


@dataclass(frozen=True, slots=True)
class LayerNumbers(Quantization):
    """The numbers of one layer; made by `layer_numbers`."""

    tells_rows_apart: ClassVar[bool] = True

    format: LayerFormat
    names: tuple[str, ...]
    parts: tuple[Tensor, ...] = ()
    """The tensors beside the weight, by `names`."""

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Quantization`."""
        rows = max(1, _AT_ONCE // max(1, math.prod(shape[1:])))
        if shape[0] <= rows:
            return self._plain(packed, self._parts()).reshape(tuple(shape)).to(dtype)
        made = torch.empty(tuple(shape), dtype=dtype, device=packed.device)
        for first in range(0, shape[0], rows):
            some = slice(first, first + rows)
            made[some] = self._plain(packed[some], self._parts(some)).reshape(made[some].shape)
        return made

    def _parts(self, rows: slice | None = None) -> Parts:
        """Return the tensors beside the weight, for some of its rows alone."""
        parts = dict(zip(self.names, self.parts, strict=True))
        if rows is None:
            return parts
        kinds = self.format.kind.parts
        shared = {each for each in parts if kinds[each].place == "table" or len(parts[each]) == 1}
        return {each: part if each in shared else part[rows] for each, part in parts.items()}

    def _plain(self, packed: Tensor, parts: Parts) -> Tensor:
        """Return numbers in float32."""
        plain = _NUMBERS[self.format.name](packed, parts, self.format.group)
        if not self.format.rotation:
            return plain
        return rotate(plain.reshape(len(packed), -1), self.format.rotation)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Quantization`."""
        return self.parts

    def without_tensors(self) -> "LayerNumbers":
        """See `Quantization`."""
        return replace(self, parts=())

    def with_tensors(self, tensors: Iterator[Tensor]) -> "LayerNumbers":
        """See `Quantization`."""
        return replace(self, parts=tuple(islice(tensors, len(self.names))))


def layer_numbers(format_: LayerFormat, parts: Parts) -> Quantization:
    """Return the quantization of a layer.

    Args:
        format_: of the layer.
        parts: the tensors beside its weight, as `arrange` returns them.
    """
    scale = parts.get("scale")
    if scale is None or scale.numel() > 1 or format_.rotation:
        return LayerNumbers(format_, tuple(parts), tuple(parts.values()))
    if _NUMBERS[format_.name] is _times_scale:
        return ScaledFp8(is_scaled=True, scale=scale.reshape(1).float())
    return LayerNumbers(format_, tuple(parts), tuple(parts.values()))


def arrange(
    format_: LayerFormat, name: str, part: Tensor, shape: Sequence[int], rows: slice | None
) -> Tensor:
    """Return a tensor beside a weight with a row for each of the weight's, or the same for all.

    Args:
        format_: of the layer.
        name: of the tensor, as the format has it.
        part: as the file has it; if it has rows for the weight's, those alone that are wanted.
        shape: of the whole weight.
        rows: of the weight, that are wanted; None: all.
    """
    place = format_.kind.parts[name].place
    if place == "columns":
        part = part.T
    elif place == "tiles":
        part = untile(part, shape[0], shape[-1] // format_.group)
    elif place == "rows":
        return part.reshape(len(part), -1) if part.numel() > 1 else part.reshape(1, 1)
    else:
        return part
    return part[rows or slice(None)].clone(memory_format=torch.contiguous_format)


def _times_scale(packed: Tensor, parts: Parts, group: int) -> Tensor:
    """Numbers of a plain type, times a scale for all or for each row."""
    del group
    scale = parts["scale"].float().reshape(-1, *[1] * (packed.ndim - 1))
    return packed.to(torch.float32, copy=True).mul_(scale)


def _mxfp8(packed: Tensor, parts: Parts, group: int) -> Tensor:
    """Numbers in fp8, times a power of two for each block, whose exponent is the scale's byte."""
    powers = (parts["scale"].view(torch.uint8).to(torch.int32) << 23).view(torch.float32)
    return packed.to(torch.float32).reshape(len(packed), -1, group).mul_(powers[..., None])


def _nvfp4(packed: Tensor, parts: Parts, group: int) -> Tensor:
    """Numbers in fp4, the first in the high bits, times a scale for each block and one for all."""
    bits = torch.empty((*packed.shape, 2), dtype=torch.uint8, device=packed.device)
    # Sign, exponent and mantissa go to those of float8_e4m3fn, which has the same subnormals.
    torch.bitwise_right_shift(packed, 2, out=bits[..., 0])
    torch.bitwise_left_shift(packed, 2, out=bits[..., 1])
    bits.bitwise_and_(0x1C)
    signs = torch.stack((packed, packed << 4), -1)
    bits.bitwise_or_(signs.bitwise_and_(0x80))
    numbers = bits.view(torch.float8_e4m3fn).float().reshape(len(packed), -1, group)
    scale = (parts["scale"].float() * parts["tensor_scale"].float()).mul_(_FP4_IN_FP8)
    return numbers.mul_(scale[..., None])


def _w4a4(packed: Tensor, parts: Parts, group: int) -> Tensor:
    """Signed whole numbers of 4 bits, the first in the low bits, times a scale for each row."""
    del group
    signed = _nibbles(packed).bitwise_xor_(8).to(torch.float32).sub_(8)
    return signed.mul_(parts["scale"].float())


def _w4a8(packed: Tensor, parts: Parts, group: int) -> Tensor:
    """Codes of 4 or 6 bits, times a scale for each group, rounded to int8; then one for each row.

    A code of 4 bits is a place in the codebook if there is one, else a number from its middle on.
    """
    scale = parts["scale"].float()
    columns = scale.shape[1] * group
    low, high = packed[:, : columns // 2], packed[:, columns // 2 :]
    codes = _nibbles(low)
    if high.shape[1]:
        codes += _pairs(high) << 4
    if "codebook" in parts:
        levels = parts["codebook"].float().index_select(0, codes.flatten().int())
    else:
        levels = codes.to(torch.float32).sub_(32 if high.shape[1] else 8)
    levels = levels.reshape(len(packed), -1, group).mul_(scale[..., None])
    plain = levels.round_().clamp_(-127, 127).mul_(parts["row_scale"].float()[..., None])
    return plain.add_(parts["offset"].float()[..., None]) if "offset" in parts else plain


def _awq(packed: Tensor, parts: Parts, group: int) -> Tensor:
    """Whole numbers from -8 to 7, times a scale for each group, plus its centre."""
    codes = _nibbles(packed).to(torch.float32).sub_(8).reshape(len(packed), -1, group)
    scale, zero = (parts[name].float()[..., None] for name in ("scale", "zero"))
    return codes.mul_(scale).add_(zero)


def _nibbles(packed: Tensor) -> Tensor:
    """Return the four bits of each code, the low ones first: [rows, 2 * bytes] uint8."""
    raw = packed.view(torch.uint8)
    made = torch.empty((*raw.shape, 2), dtype=torch.uint8, device=raw.device)
    torch.bitwise_and(raw, 15, out=made[..., 0])
    torch.bitwise_right_shift(raw, 4, out=made[..., 1])
    return made.flatten(1)


def _pairs(packed: Tensor) -> Tensor:
    """Return the two bits of each code, the lowest first: [rows, 4 * bytes] uint8."""
    raw = packed.contiguous().view(torch.uint8)
    shifts = torch.arange(0, 8, 2, dtype=torch.uint8, device=raw.device)
    return (raw[..., None] >> shifts).bitwise_and_(3).flatten(1)


_NUMBERS: Mapping[str, Callable[[Tensor, Parts, int], Tensor]] = {
    "scaled": _times_scale,
    "float8_e4m3fn": _times_scale,
    "float8_e5m2": _times_scale,
    "int8_tensorwise": _times_scale,
    "mxfp8": _mxfp8,
    "nvfp4": _nvfp4,
    "convrot_w4a4": _w4a4,
    "asym_w4a8_int8": _w4a8,
    "awq_w4a16": _awq,
}
"""Functions from a weight, the tensors beside it and its group to its numbers, not turned back."""
