"""Quantized weights: tensors of GGUF blocks or scaled fp8, dequantized when they are used.

Torch does it on the weights' device; the arithmetic of GGUF's blocks is diffusers'.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree  # pyright: ignore[reportPrivateUsage]

from nodes.models.weights.errors import UnavailableHereError

_WHAT = "Reading quantized GGUF files"


def dequantize_blocks(packed: Tensor, kind: str) -> Tensor:
    """Return the numbers of whole blocks, flat, float32.

    Args:
        packed: uint8, of any shape.
        kind: the type of the blocks, one of `nodes.models.weights.gguf.BLOCKS`.

    Raises:
        UnavailableHereError: the package `gguf` is not installed.
    """
    if importlib.util.find_spec("gguf") is None:
        raise UnavailableHereError(
            code="missing_extra",
            what=_WHAT,
            reason="a package is not installed",
            hint="Run: pip install 'nodegraph[gguf]'",
        )
    import gguf  # pyright: ignore[reportMissingImports]
    from diffusers.quantizers.gguf import utils

    library = cast("Any", gguf)
    type_ = library.GGMLQuantizationType[kind]
    known = cast("Mapping[Any, Callable[..., Tensor]]", utils.dequantize_functions)
    size, wide = library.GGML_QUANT_SIZES[type_]
    blocks = packed.contiguous().reshape(-1, wide)
    return known[type_](blocks, size, wide, torch.float32).flatten()


class Quantization(Protocol):
    """A way to store numbers in few bits."""

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return the numbers of a whole tensor."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the tensors that it needs beside the packed one, on the same device."""
        return ()

    def rebuilder(self) -> "Callable[[Iterator[Tensor]], Quantization]":
        """Return a function that makes the same of other copies of `tensors`, and holds none."""
        return lambda _: self


@dataclass(frozen=True, slots=True)
class ScaledFp8(Quantization):
    """Numbers in fp8 that are to be multiplied by one scale."""

    scale: float = 1.0

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Quantization`."""
        del shape
        if self.scale == 1.0:
            return packed.to(dtype)
        return packed.to(dtype, copy=True).mul_(self.scale)


@dataclass(frozen=True, slots=True)
class GgufBlocks(Quantization):
    """Blocks of one of GGUF's types, row by row."""

    kind: str

    def dequantize(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Quantization`."""
        return dequantize_blocks(packed, self.kind).reshape(tuple(shape)).to(dtype)


class QuantizedTensor(Tensor):
    """A weight in few bits that is dequantized for every operation.

    A slice of its rows is quantized as well, if the rows are stored one by one.
    """

    packed: Tensor
    quantization: Quantization

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
        return made

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return the numbers as a plain tensor."""
        return self.quantization.dequantize(self.packed, self.shape, dtype or self.dtype)

    def with_dtype(self, dtype: torch.dtype) -> "QuantizedTensor":
        """Return the same numbers, to be dequantized to another precision."""
        return QuantizedTensor(self.packed, self.quantization, self.shape, dtype)

    def stored_by(self, quantization: Quantization) -> "QuantizedTensor":
        """Return a weight of the same packed numbers that is dequantized in another way."""
        return QuantizedTensor(self.packed, quantization, self.shape, self.dtype)

    def to_device(self, device: str) -> "QuantizedTensor":
        """Return it on a device, still quantized."""
        return self.rebuilder()(tensor.to(device) for tensor in self.tensors())

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the plain tensors that it consists of, the packed one first."""
        return (self.packed, *self.quantization.tensors())

    def rebuilder(self) -> "Callable[[Iterator[Tensor]], QuantizedTensor]":
        """Return a function that makes the same of other copies of `tensors`, and holds none."""
        quantization, facts = self.quantization.rebuilder(), (self.shape, self.dtype)
        return lambda parts: QuantizedTensor(next(parts), quantization(parts), *facts)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run a function of torch; its results are plain tensors."""
        with torch._C.DisableTorchFunctionSubclass():  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
            return func(*args, **(kwargs or {}))

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
    if whole.quantization.tensors():  # which are those of all rows
        return None
    part = whole.packed[start:end]
    return QuantizedTensor(part, whole.quantization, (part.shape[0], *whole.shape[1:]), whole.dtype)
