"""GGUF's block types unpacked by torch, on whatever device; diffusers has the arithmetic."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.utils import _pytree  # pyright: ignore[reportPrivateUsage]

from nodes.models.weights.errors import MissingExtraError

_WHAT = "Reading quantised GGUF files"


def unpack(packed: Tensor, kind: str) -> Tensor:
    """The numbers of whole blocks, flat, float32.

    Args:
        packed: uint8, of any shape.
        kind: the blocks' type, one of `nodes.models.weights.gguf.BLOCKS`.

    Raises:
        MissingExtraError: the package `gguf` is not installed.
    """
    if importlib.util.find_spec("gguf") is None:
        raise MissingExtraError(_WHAT, "gguf")
    import gguf  # pyright: ignore[reportMissingImports]
    from diffusers.quantizers.gguf import utils

    library = cast("Any", gguf)
    type_ = library.GGMLQuantizationType[kind]
    known = cast("Mapping[Any, Callable[..., Tensor]]", utils.dequantize_functions)
    size, wide = library.GGML_QUANT_SIZES[type_]
    blocks = packed.contiguous().reshape(-1, wide)
    return known[type_](blocks, size, wide, torch.float32).flatten()


class Packing(Protocol):
    """How numbers are packed."""

    def unpack(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """The numbers."""
        ...


@dataclass(frozen=True, slots=True)
class Rounded:
    """Rounded to 8 bits each, and perhaps divided by a number for all of them."""

    scale: float = 1.0

    def unpack(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Packing`."""
        del shape
        whole = packed.to(dtype)
        return whole if self.scale == 1.0 else whole * self.scale


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of one of GGUF's types, row by row."""

    kind: str

    def unpack(self, packed: Tensor, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """See `Packing`."""
        return unpack(packed, self.kind).reshape(tuple(shape)).to(dtype)


class PackedTensor(Tensor):
    """Looks like a weight; whatever is done with it is done with the unpacked numbers.

    Some of its rows are packed too, if every row is packed by itself.
    """

    packed: Tensor
    packing: Packing

    @staticmethod
    def __new__(
        cls: "type[PackedTensor]",
        packed: Tensor,
        packing: Packing,
        shape: Sequence[int],
        dtype: torch.dtype,
    ) -> "PackedTensor":
        """A weight of that shape, which is computed with in that precision."""
        empty: object = Tensor._make_wrapper_subclass  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
        make = cast("Callable[..., PackedTensor]", empty)
        made = make(cls, tuple(shape), dtype=dtype, device=packed.device)
        made.packed, made.packing = packed, packing
        return made

    def unpacked(self, dtype: torch.dtype | None = None) -> Tensor:
        """The numbers as a plain tensor."""
        return self.packing.unpack(self.packed, self.shape, dtype or self.dtype)

    def computing_in(self, dtype: torch.dtype) -> "PackedTensor":
        """The same numbers, unpacked in another precision when they are used."""
        return PackedTensor(self.packed, self.packing, self.shape, dtype)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Results are what they are, and not of this class."""
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
        """Every operation that reaches a tensor comes here."""
        if func in (torch.ops.aten.detach.default, torch.ops.aten.alias.default):
            return args[0].computing_in(args[0].dtype)
        if func is torch.ops.aten.slice.Tensor:
            rows = _rows(*args)
            if rows is not None:
                return rows
        plain = _pytree.tree_map_only(PackedTensor, PackedTensor.unpacked, (args, kwargs or {}))
        return func(*plain[0], **plain[1])


def precise(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A weight's numbers as a plain tensor, however they are kept."""
    if isinstance(weight, PackedTensor):
        return weight.unpacked(dtype)
    if type(weight) not in (Tensor, torch.nn.Parameter):  # torchao's
        return weight.dequantize().to(dtype)
    return weight.to(dtype)


def matrices_of(module: nn.Module) -> Iterator[str]:
    """The keys of the weights of its linear and convolutional layers."""
    layers = cast("Iterator[tuple[str, nn.Module]]", module.named_modules())
    return (f"{name}.weight" for name, layer in layers if isinstance(layer, nn.Linear | nn.Conv2d))


def _rows(
    whole: PackedTensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> PackedTensor | None:
    """Some rows, if they can be had without unpacking."""
    if dim != 0 or step != 1 or whole.packed.shape[0] != whole.shape[0]:
        return None
    part = whole.packed[start:end]
    return PackedTensor(part, whole.packing, (part.shape[0], *whole.shape[1:]), whole.dtype)
