"""The memory that weights take, whatever shares it."""

from collections.abc import Iterable, Iterator
from typing import Any, cast

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from nodes.models.weights.quantized import QuantizedTensor


def storage_nbytes(weights: Iterable[Tensor], beside: Iterable[Tensor] = ()) -> int:
    """Return the bytes of the storages that weights keep in memory, each counted once.

    Args:
        weights: plain ones, quantized ones, or torchao's.
        beside: others, whose storages do not count.
    """
    held = dict(_storages(weights))
    others = dict(_storages(beside))
    return sum(size for place, size in held.items() if place not in others)


def _storages(weights: Iterable[Tensor]) -> Iterator[tuple[int, int]]:
    """Yield the address and the size of each storage.

    Two that are views of a mapped file have one address. Those without memory, on the meta device
    or fake, have the addresses of the storages themselves.
    """
    for weight in weights:
        for part in _plain_tensors(weight):
            storage = part.untyped_storage()
            virtual = storage.device.type == "meta"
            address = cast("Any", StorageWeakRef(storage)).cdata if virtual else storage.data_ptr()
            yield address, storage.nbytes()


def _plain_tensors(weight: Tensor) -> Iterator[Tensor]:
    """Yield the tensors that a weight consists of."""
    if isinstance(weight, QuantizedTensor):
        yield from weight.tensors()
    elif hasattr(weight, "__tensor_flatten__"):  # torchao's
        names: list[str] = cast("Any", weight).__tensor_flatten__()[0]
        for name in names:
            yield from _plain_tensors(getattr(weight, name))
    else:
        yield weight
