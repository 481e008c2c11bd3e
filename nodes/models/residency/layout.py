"""The weights of a unit in one buffer: where each lies, and how it is made of the bytes there."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, cast

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from nodes.models.residency.units import align
from nodes.models.weights.quantized import QuantizedTensor

Rebuild: TypeAlias = Callable[[Iterator[Tensor]], Tensor]
"""A function that takes as many plain tensors as a weight has, and makes the weight of them."""


class _Flattened(Protocol):
    """A tensor that consists of others, as torch's `__tensor_flatten__` tells."""

    def __tensor_flatten__(self) -> tuple[Sequence[str], object]: ...


@dataclass(frozen=True, slots=True)
class _Place:
    """The place of one plain tensor in a buffer."""

    offset: int
    nbytes: int
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype

    def view(self, buffer: Tensor) -> Tensor:
        """Return the tensor that lies there."""
        part = buffer[self.offset : self.offset + self.nbytes].view(self.dtype)
        return part.as_strided(self.shape, self.stride, part.storage_offset())


@dataclass(frozen=True, slots=True)
class _Weight:
    """One weight in a buffer."""

    places: tuple[_Place, ...]
    rebuild: Rebuild
    empty: Tensor
    """On the meta device: the weight's shape and the dtype that it is computed with."""


class Layout:
    """The weights of a unit in one buffer.

    Args:
        weights: plain ones, quantized ones, or torchao's, which stay as they are stored.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights: dict[str, _Weight] = {}
        self.nbytes = 0
        for key, weight in weights.items():
            tensors, rebuild = take_apart(weight)
            places = tuple(self._place(tensor) for tensor in tensors)
            empty = torch.empty_strided(
                weight.shape, weight.stride(), dtype=weight.dtype, device="meta"
            )
            self._weights[key] = _Weight(places, rebuild, empty)

    def views(self, buffer: Tensor) -> dict[str, Tensor]:
        """Return the weights that lie in a buffer, on whatever device it is."""
        return {
            key: weight.rebuild(iter([place.view(buffer) for place in weight.places]))
            for key, weight in self._weights.items()
        }

    def empty(self) -> dict[str, nn.Parameter]:
        """Return what stands for the weights while they are not there: nothing can compute."""
        return {key: as_parameter(weight.empty) for key, weight in self._weights.items()}

    def pieces(self, weights: Mapping[str, Tensor]) -> Iterator[tuple[int, Tensor]]:
        """Yield the offset and the bytes of each tensor that the weights consist of."""
        for key, weight in self._weights.items():
            tensors, _ = take_apart(weights[key])
            for place, tensor in zip(weight.places, tensors, strict=True):
                yield place.offset, _bytes(tensor)

    def _place(self, tensor: Tensor) -> _Place:
        offset, nbytes = self.nbytes, tensor.numel() * tensor.itemsize
        self.nbytes += align(nbytes)
        stride = tensor.stride() if _is_dense(tensor) else torch.empty_like(tensor).stride()
        return _Place(offset, nbytes, tensor.shape, stride, tensor.dtype)


def take_apart(weight: Tensor) -> tuple[list[Tensor], Rebuild]:
    """Return the plain tensors that a weight consists of, and how it is made of such."""
    if isinstance(weight, QuantizedTensor):
        return list(weight.tensors()), weight.rebuilder()
    if hasattr(weight, "__tensor_flatten__"):  # torchao's
        names, context = cast("_Flattened", weight).__tensor_flatten__()
        inner = [take_apart(getattr(weight, name)) for name in names]
        parts = [part for tensors, _ in inner for part in tensors]
        rebuilds = dict(zip(names, (rebuild for _, rebuild in inner), strict=True))
        size = weight.shape, weight.stride()
        return parts, partial(_unflatten, type(weight), rebuilds, context, *size)
    return [weight], next


def stored_nbytes(weight: Tensor) -> int:
    """Return the bytes of a weight as it is stored; zeros that are one number take none."""
    tensors = (part for part in take_apart(weight)[0] if 0 not in part.stride())
    return sum(part.numel() * part.itemsize for part in tensors)


def storage_nbytes(weights: Iterable[Tensor], beside: Iterable[Tensor] = ()) -> int:
    """Return the bytes of the storages that weights keep in memory, each counted once.

    Args:
        weights: plain ones, quantized ones, or torchao's.
        beside: others, whose storages do not count.
    """
    held = dict(_storages(weights))
    others = dict(_storages(beside))
    return sum(size for place, size in held.items() if place not in others)


def as_parameter(weight: Tensor) -> nn.Parameter:
    """Return a weight as a module holds it."""
    return nn.Parameter(weight, requires_grad=False)


def _storages(weights: Iterable[Tensor]) -> Iterator[tuple[int, int]]:
    """Yield the address and the size of each storage.

    Two that are views of a mapped file have one address. Those without memory, on the meta device
    or fake, have the addresses of the storages themselves.
    """
    for weight in weights:
        for part in take_apart(weight)[0]:
            storage = part.untyped_storage()
            virtual = storage.device.type == "meta"
            address = cast("Any", StorageWeakRef(storage)).cdata if virtual else storage.data_ptr()
            yield address, storage.nbytes()


def _unflatten(
    kind: type[Tensor],
    rebuilds: Mapping[str, Rebuild],
    context: object,
    shape: torch.Size,
    stride: tuple[int, ...],
    parts: Iterator[Tensor],
) -> Tensor:
    inner = {name: rebuild(parts) for name, rebuild in rebuilds.items()}
    return cast("Any", kind).__tensor_unflatten__(inner, context, shape, stride)


def _is_dense(tensor: Tensor) -> bool:
    """Return True if a tensor's numbers fill one stretch of memory, in whatever order."""
    return torch.ops.aten.is_non_overlapping_and_dense.default(tensor)


def _bytes(tensor: Tensor) -> Tensor:
    """Return a tensor's bytes in the order in which they lie in memory."""
    dense = tensor if _is_dense(tensor) else tensor.contiguous()
    flat = dense.as_strided((dense.numel(),), (1,), dense.storage_offset())
    return flat.view(torch.uint8)
