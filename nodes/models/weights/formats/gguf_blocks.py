"""The numbers in GGUF's blocks, unpacked by a few operations of torch on the blocks' device.

Every type has a scale for each group of small whole numbers, and some an offset. The layouts of
the blocks are those of `ggml-common.h` (https://github.com/ggml-org/ggml, MIT). Shifts and masks
are plain numbers, so that no constant is copied to the device, and torch can trace all of it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from nodes.models.weights.formats.gguf import BLOCKS
from nodes.models.weights.quantized import Quantization

_CURVE = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The numbers that the four bits of the types IQ4 stand for."""


class _Parts(NamedTuple):
    """The parts of blocks: the numbers are `scale * steps + offset`."""

    scale: Tensor
    """[blocks, groups, 1] float32."""
    steps: Tensor
    """[blocks, groups, size] uint8 or int8."""
    offset: Tensor | None = None
    """[blocks, groups, 1] float32."""


@dataclass(frozen=True, slots=True)
class GgufBlocks(Quantization):
    """Blocks of one of GGUF's types, row by row; made by `gguf_blocks`."""

    kind: str
    curve: Tensor | None = None
    """[16] int8: the numbers that four bits stand for, of the types that have such a table."""

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Quantization`; computed in float32, and rounded to the dtype once."""
        blocks = packed.reshape(-1, BLOCKS[self.kind][1])
        if self.curve is None:
            scale, steps, offset = _TYPES[self.kind](blocks)
        else:
            scale, steps, offset = _CURVED[self.kind](blocks, self.curve)
        made = torch.empty(steps.shape, dtype=dtype, device=packed.device)
        if offset is None:
            torch.mul(scale, steps, out=made)
        else:
            torch.addcmul(offset, scale, steps, out=made)
        return made.reshape(tuple(shape))

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Quantization`."""
        return () if self.curve is None else (self.curve,)

    def without_tensors(self) -> "GgufBlocks":
        """See `Quantization`."""
        return replace(self, curve=None)

    def with_tensors(self, tensors: Iterator[Tensor]) -> "GgufBlocks":
        """See `Quantization`."""
        return replace(self, curve=next(tensors)) if self.kind in _CURVED else self


def gguf_blocks(kind: str, device: torch.device) -> GgufBlocks:
    """Return the quantization of blocks on a device, of a type in `BLOCKS`."""
    if kind not in _CURVED:
        return GgufBlocks(kind)
    return GgufBlocks(kind, torch.tensor(_CURVE, dtype=torch.int8, device=device))


def _halves(found: Tensor) -> Tensor:
    """Return float16 numbers as float32: [blocks, groups] from [blocks, 2 * groups] bytes."""
    return found.view(torch.float16).float()


def _nibbles(found: Tensor, groups: int = 1, dtype: torch.dtype = torch.uint8) -> Tensor:
    """Return the low, then the high four bits of every group: [blocks, 2 * groups, size]."""
    grouped = found.reshape(len(found), groups, -1)
    size = grouped.shape[-1]
    made = torch.empty((len(found), groups, 2, size), dtype=dtype, device=found.device)
    torch.bitwise_and(grouped, 15, out=made[:, :, 0])
    torch.bitwise_right_shift(grouped, 4, out=made[:, :, 1])
    return made.reshape(len(found), 2 * groups, size)


def _fields(found: Tensor, width: int, groups: int = 1) -> Tensor:
    """Return fields of 1 or 2 bits, the lowest first: [blocks, groups * fields, size]."""
    grouped = found.reshape(len(found), groups, 1, -1)
    shifts = torch.arange(0, 8, width, dtype=torch.uint8, device=found.device)
    made = (grouped >> shifts[:, None]).bitwise_and_((1 << width) - 1)
    return made.reshape(len(found), -1, grouped.shape[-1])


def _high_bits(found: Tensor) -> Tensor:
    """Return the 32 bits of four bytes, in their order: [blocks, 1, 32]."""
    shifts = torch.arange(8, dtype=torch.uint8, device=found.device)
    return (found[..., None] >> shifts).bitwise_and_(1).reshape(len(found), 1, 32)


def _shift_down(steps: Tensor, zero: int) -> Tensor:
    """Return unsigned steps minus their zero, as signed ones; written in their place."""
    return steps.sub_(zero).view(torch.int8)


def _q4_0(blocks: Tensor) -> _Parts:
    scale = _halves(blocks[:, :2])[:, None]
    steps = _nibbles(blocks[:, 2:]).reshape(len(blocks), 1, 32)
    return _Parts(scale, steps, scale * -8)


def _q4_1(blocks: Tensor) -> _Parts:
    halves = _halves(blocks[:, :4])[:, None]
    steps = _nibbles(blocks[:, 4:]).reshape(len(blocks), 1, 32)
    return _Parts(halves[..., :1], steps, halves[..., 1:])


def _q5_0(blocks: Tensor) -> _Parts:
    scale = _halves(blocks[:, :2])[:, None]
    steps = _nibbles(blocks[:, 6:]).reshape(len(blocks), 1, 32)
    return _Parts(scale, steps.add_(_high_bits(blocks[:, 2:6]), alpha=16), scale * -16)


def _q5_1(blocks: Tensor) -> _Parts:
    halves = _halves(blocks[:, :4])[:, None]
    steps = _nibbles(blocks[:, 8:]).reshape(len(blocks), 1, 32)
    steps.add_(_high_bits(blocks[:, 4:8]), alpha=16)
    return _Parts(halves[..., :1], steps, halves[..., 1:])


def _q8_0(blocks: Tensor) -> _Parts:
    return _Parts(_halves(blocks[:, :2])[:, None], blocks[:, None, 2:].view(torch.int8))


def _q2_k(blocks: Tensor) -> _Parts:
    scales = _nibbles(blocks[:, :16], dtype=torch.float32)
    scale, offset = (blocks[:, 80:].view(torch.float16)[..., None] * scales)[..., None].unbind(1)
    steps = _fields(blocks[:, 16:80], 2, groups=2).reshape(len(blocks), 16, 16)
    return _Parts(scale, steps, offset.neg_())


def _q3_k(blocks: Tensor) -> _Parts:
    high, low, scales = blocks[:, :32], blocks[:, 32:96], blocks[:, 96:108]
    factors = _nibbles(scales[:, :8], dtype=torch.float32).reshape(-1, 16)
    factors.add_(_fields(scales[:, 8:], 2).reshape(-1, 16), alpha=16).sub_(32)
    scale = blocks[:, 108:].view(torch.float16) * factors
    steps = _fields(low, 2, groups=2).add_(_fields(high, 1), alpha=4)
    scale = scale[..., None]
    return _Parts(scale, steps.reshape(len(blocks), 16, 16), scale * -4)


def _k_scales(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Return the scale and the offset, [blocks, 8, 1] each, of the types Q4_K and Q5_K.

    Six bits each: those of the first four groups lie in the low bits of eight bytes; of the others
    four bits lie in four more bytes, and two in the high bits of the eight.
    """
    first = blocks[:, 4:12].reshape(-1, 2, 4)
    made = torch.empty((len(blocks), 2, 8), dtype=torch.float32, device=blocks.device)
    torch.bitwise_and(first, 63, out=made[..., :4])
    torch.bitwise_and(blocks[:, 12:16], 15, out=made[:, 0, 4:])
    torch.bitwise_right_shift(blocks[:, 12:16], 4, out=made[:, 1, 4:])
    made[..., 4:].add_(first >> 6, alpha=16)
    scale, offset = (made * blocks[:, :4].view(torch.float16)[..., None])[..., None].unbind(1)
    return scale, offset.neg_()


def _q4_k(blocks: Tensor) -> _Parts:
    scale, offset = _k_scales(blocks)
    return _Parts(scale, _nibbles(blocks[:, 16:], groups=4), offset)


def _q5_k(blocks: Tensor) -> _Parts:
    scale, offset = _k_scales(blocks)
    steps = _nibbles(blocks[:, 48:], groups=4).add_(_fields(blocks[:, 16:48], 1), alpha=16)
    return _Parts(scale, steps, offset)


def _q6_k(blocks: Tensor) -> _Parts:
    scale = blocks[:, 192:208].view(torch.int8) * _halves(blocks[:, 208:])
    steps = _nibbles(blocks[:, :128], groups=2).reshape(len(blocks), 8, 32)
    steps.add_(_fields(blocks[:, 128:192], 2, groups=2), alpha=16)
    return _Parts(scale[..., None], _shift_down(steps, 32).reshape(len(blocks), 16, 16))


def _on_curve(found: Tensor, curve: Tensor, groups: int = 1) -> Tensor:
    """Return the numbers that four bits stand for: [blocks, 2 * groups, size] int8."""
    steps = _nibbles(found, groups, dtype=torch.int32)
    return curve.index_select(0, steps.flatten()).reshape(steps.shape)


def _iq4_nl(blocks: Tensor, curve: Tensor) -> _Parts:
    steps = _on_curve(blocks[:, 2:], curve).reshape(len(blocks), 1, 32)
    return _Parts(_halves(blocks[:, :2])[:, None], steps)


def _iq4_xs(blocks: Tensor, curve: Tensor) -> _Parts:
    low = _nibbles(blocks[:, 4:8, None], groups=4, dtype=torch.float32).reshape(-1, 8)
    high = _fields(blocks[:, 2:4], 2, groups=2).reshape(-1, 8)
    scale = low.add_(high, alpha=16).sub_(32).mul_(blocks[:, :2].view(torch.float16))
    steps = _on_curve(blocks[:, 8:], curve, groups=8).reshape(len(blocks), 8, 32)
    return _Parts(scale[..., None], steps)


_TYPES: Mapping[str, Callable[[Tensor], _Parts]] = {
    "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q8_0": _q8_0,
    "Q2_K": _q2_k, "Q3_K": _q3_k, "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k,
}  # fmt: skip
_CURVED: Mapping[str, Callable[[Tensor, Tensor], _Parts]] = {
    "IQ4_NL": _iq4_nl,
    "IQ4_XS": _iq4_xs,
}
"""The types whose four bits are the number of a place on a curve."""
