"""The memory that a call of a network takes beside its weights, found without computing it.

The call is made on torch's meta device, where tensors have shapes and no numbers: every op tells
what it would allocate, and Python tells when a tensor is gone.
"""

import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

_BLOCK = 512
"""Bytes: allocators give whole multiples of this."""


@torch.no_grad()
def peak_bytes(network: nn.Module, call: Callable[[], object]) -> int:
    """Return the most bytes that the tensors of one call take at once; its inputs do not count.

    Attention is taken for one kernel, which keeps no matrix of all pairs. What libraries allocate
    for themselves, as cuDNN does to convolve, is not known and not in the number.

    Args:
        network: on the meta device, in the precision that is computed in.
        call: calls it, with inputs on the meta device.
    """
    memory = _Memory((*network.parameters(), *network.buffers()))
    with _OneKernelAttention(), memory:
        call()
    return memory.peak


class _Form(NamedTuple):
    """All that there is to a tensor without numbers."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype

    def tensor(self) -> Tensor:
        """Return a new tensor of this form."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")


class _Memory(TorchDispatchMode):
    """Follows the memory that ops on the meta device would take.

    Networks repeat their blocks, so most ops come with the forms of an earlier one: what that
    made, this makes.

    Args:
        weights: tensors that are there all the time.
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()  # pyright: ignore[reportUnknownMemberType]
        self.peak = 0
        self._live = 0
        self._known = {_address(each) for each in weights}
        self._made: dict[Hashable, Sequence[_Form]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an op, and count the memory that it takes."""
        options = dict(kwargs or {})
        if not _makes_memory(func):
            return func(*args, **options)
        key = func, _form(args), _form(tuple(options.items()))
        forms = self._made.get(key)
        if forms is not None:
            made = [form.tensor() for form in forms]
            result = made[0] if len(made) == 1 else tuple(made)
        else:
            result = func(*args, **options)
            made = _tensors(result)
            if all(each.is_meta for each in made):
                self._made[key] = [_Form(x.shape, x.stride(), x.dtype) for x in made]
        for tensor in made:
            self._take(tensor)
        return result

    def _take(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _address(tensor)
        if key in self._known:
            return
        size = -(storage.nbytes() // -_BLOCK) * _BLOCK
        self._known.add(key)
        self._live += size
        self.peak = max(self.peak, self._live)
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live -= size


class _OneKernelAttention(TorchFunctionMode):
    """Lets attention return what it would, without any memory in between."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch; of attention only make the result."""
        options = dict(kwargs or {})
        if func is functional.scaled_dot_product_attention:
            return attend_on_meta(*args, **options)
        return func(*args, **options)


def attend_on_meta(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Tensor:
    """Return a tensor as attention makes it."""
    del key
    batch, heads, length = query.shape[:3]
    return query.new_empty((batch, length, heads, value.shape[-1])).transpose(1, 2)


def _tensors(result: Any) -> list[Tensor]:
    """Return the tensors that an op returned."""
    several = cast("Sequence[Any]", result if isinstance(result, list | tuple) else (result,))
    return [each for each in several if isinstance(each, Tensor)]


@cache
def _makes_memory(op: Any) -> bool:
    """Return True if an op makes new tensors; others return views, or write to what there is."""
    if op is torch.ops.aten._unsafe_view.default:  # noqa: SLF001 - a view that does not say so
        return False
    returned = op._schema.returns  # noqa: SLF001 - torch has no other way to tell
    return bool(returned) and all(each.alias_info is None for each in returned)


def _form(value: Any) -> Hashable:
    """Return what the result of an op depends on, of one of its arguments."""
    if isinstance(value, Tensor):
        return _Form(value.shape, value.stride(), value.dtype)
    if isinstance(value, list | tuple):
        return tuple([_form(each) for each in cast("Sequence[Any]", value)])
    return cast("type[object]", type(value)), value


def _address(tensor: Tensor) -> int:
    """Return what tells one storage from all others, while it lasts."""
    return cast("Any", tensor.untyped_storage())._cdata  # noqa: SLF001 - torch has no other way
