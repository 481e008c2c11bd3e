"""Quantized weights: numbers in few bits, dequantized by torch whenever they are used.

They consist of plain tensors, as torch's `__tensor_flatten__` tells, so that compilers see what
is computed with them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree  # pyright: ignore[reportPrivateUsage]

_PLAIN_RESULTS = cast("Any", torch._C._disabled_torch_function_impl)  # noqa: SLF001 # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
"""Runs a function of torch on tensors of a class; its results are plain tensors."""

_IN_BLOCK = re.compile(r"\.\d+\.")


class Quantization(Protocol):
    """A way to store numbers in few bits; without its tensors equal to others by content."""

    tells_rows_apart: ClassVar[bool] = False
    """True if some of its tensors are those of all rows of the weight."""

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return the numbers of a whole tensor."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors that it needs beside the packed one, on the same device."""
        return ()

    def without_tensors(self) -> "Quantization":
        """Return the same without its tensors."""
        return self

    def with_tensors(self, tensors: Iterator[Tensor]) -> "Quantization":
        """Return the same, which has no tensors, with other copies of its `tensors`."""
        del tensors
        return self

    def as_stored(self) -> "Quantization":
        """Return the same without what was put beside the numbers of the file."""
        return self


@dataclass(frozen=True, slots=True)
class ScaledFp8(Quantization):
    """Numbers in fp8 that are to be multiplied by one scale."""

    is_scaled: bool = False
    """True if there is a scale, which `without_tensors` takes away; else it is 1."""
    scale: Tensor | None = None
    """[1] float32, so that the product is rounded once."""

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Quantization`."""
        del shape
        if self.scale is None:
            return packed.to(dtype)
        return packed.to(dtype, copy=True).mul_(self.scale)

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Quantization`."""
        return () if self.scale is None else (self.scale,)

    def without_tensors(self) -> "ScaledFp8":
        """See `Quantization`."""
        return ScaledFp8(self.is_scaled)

    def with_tensors(self, tensors: Iterator[Tensor]) -> "ScaledFp8":
        """See `Quantization`."""
        return ScaledFp8(is_scaled=True, scale=next(tensors)) if self.is_scaled else self


def scaled_fp8(scale: float, device: torch.device) -> ScaledFp8:
    """Return the quantization of fp8 numbers on a device that are to be multiplied by a scale.

    Every weight has a copy of its own, even where a file has one scale for several.
    """
    if scale == 1.0:
        return ScaledFp8()
    return ScaledFp8(is_scaled=True, scale=torch.tensor([scale], device=device))


class _Facts(NamedTuple):
    """All that a quantized weight is beside its tensors and its shape."""

    quantization: Quantization
    """Without its tensors."""
    dtype: torch.dtype


class QuantizedTensor(Tensor):
    """A weight in few bits that is dequantized for every operation.

    A slice of its rows is quantized as well, if the rows are stored one by one.
    """

    packed: Tensor
    quantization: Quantization
    __torch_function__ = _PLAIN_RESULTS  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(
        cls: "type[QuantizedTensor]",
        packed: Tensor,
        packing: Quantization,
        shape: Sequence[int],
        dtype: torch.dtype,
    ) -> "QuantizedTensor":
        """Make a weight of a shape that is computed with in a precision."""
        empty: object = Tensor._make_wrapper_subclass  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        make = cast("Callable[..., QuantizedTensor]", empty)
        made = make(cls, tuple(shape), dtype=dtype, device=packed.device)
        made.packed, made.quantization = packed, packing
        for number, tensor in enumerate(made.tensors()):
            setattr(made, f"_tensor_{number}", tensor)
        return made

    def __repr__(self, *, tensor_contents: object = None) -> str:
        """Return the facts about it, for logs; the numbers would have to be computed."""
        del tensor_contents
        facts = self.quantization.without_tensors(), tuple(self.shape), self.dtype
        return f"QuantizedTensor{facts}"

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the numbers as a plain tensor."""
        return self.quantization.dequantize(self.packed, self.shape, dtype or self.dtype)

    def with_dtype(self, dtype: torch.dtype) -> "QuantizedTensor":
        """Return the same numbers, to be dequantized to another precision."""
        return QuantizedTensor(self.packed, self.quantization, self.shape, dtype)

    def stored_by(self, quantization: Quantization) -> "QuantizedTensor":
        """Return a weight of the same packed numbers that is dequantized in another way."""
        return QuantizedTensor(self.packed, quantization, self.shape, self.dtype)

    def as_stored(self) -> "QuantizedTensor":
        """Return the weight of the file, without what was put beside its numbers."""
        return self.stored_by(self.quantization.as_stored())

    def to_device(self, device: str) -> "QuantizedTensor":
        """Return it on a device, still quantized."""
        return self.rebuilder()(tensor.to(device) for tensor in self.tensors())

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the plain tensors that it consists of, the packed one first."""
        return (self.packed, *self.quantization.tensors())

    def rebuilder(self) -> "Callable[[Iterator[Tensor]], QuantizedTensor]":
        """Return a function that makes the same of other copies of `tensors`, and holds none."""
        quantization, facts = self.quantization.without_tensors(), (self.shape, self.dtype)
        return lambda parts: QuantizedTensor(next(parts), quantization.with_tensors(parts), *facts)

    def __tensor_flatten__(self) -> tuple[list[str], _Facts]:
        """Return the names of the attributes with its tensors, and the facts beside them."""
        names = [f"_tensor_{number}" for number in range(len(self.tensors()))]
        return names, _Facts(self.quantization.without_tensors(), self.dtype)

    @staticmethod
    def __tensor_unflatten__(
        tensors: Mapping[str, Tensor], facts: _Facts, shape: torch.Size, stride: tuple[int, ...]
    ) -> "QuantizedTensor":
        """Make a weight of what `__tensor_flatten__` tells, or of other tensors like those."""
        del stride
        packed, *others = tensors.values()
        quantization = facts.quantization.with_tensors(iter(others))
        return QuantizedTensor(packed, quantization, shape, facts.dtype)

    @classmethod
    def __torch_dispatch__(
        cls,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run an operation of torch on the dequantized numbers."""
        if func in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return args[0].with_dtype(args[0].dtype)
        if func is torch.ops.aten.slice.Tensor:
            rows = _rows(*args)
            if rows is not None:
                return rows
        plain = _pytree.tree_map_only(
            QuantizedTensor, QuantizedTensor.dequantize, (args, kwargs or {})
        )
        return func(*plain[0], **plain[1])


def full_precision(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a weight's numbers as a plain tensor, however they are stored."""
    if isinstance(weight, QuantizedTensor):
        return weight.dequantize(dtype)
    if type(weight) not in (Tensor, torch.nn.Parameter):  # torchao's
        return weight.dequantize().to(dtype)
    return weight.to(dtype)


def matrix_keys(module: nn.Module) -> Iterator[str]:
    """Return the keys of the weights of a network's linear and convolutional layers."""
    layers = cast("Iterator[tuple[str, nn.Module]]", module.named_modules())
    return (f"{name}.weight" for name, layer in layers if isinstance(layer, nn.Linear | nn.Conv2d))


def block_keys(module: nn.Module) -> frozenset[str]:
    """Return the keys of the weights of the linear layers in a network's blocks.

    The layers around the blocks are small, and matter much.
    """
    layers = cast("Iterator[tuple[str, nn.Module]]", module.named_modules())
    keys = (f"{name}.weight" for name, layer in layers if isinstance(layer, nn.Linear))
    return frozenset(key for key in keys if _IN_BLOCK.search(key))


def _rows(
    whole: QuantizedTensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> QuantizedTensor | None:
    """Return some rows, still quantized; None if that is not possible."""
    if dim != 0 or step != 1 or whole.packed.shape[0] != whole.shape[0]:
        return None
    if whole.quantization.tells_rows_apart:
        return None
    part = whole.packed[start:end]
    return QuantizedTensor(part, whole.quantization, (part.shape[0], *whole.shape[1:]), whole.dtype)
