"""A pretended CUDA card: full-size models at no cost of memory, and what they would ask of it.

CPU tensors are real, those on the card are fake: shapes and dtypes without numbers. What is read
back from the card is zeros, and True.
"""

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from typing import Any, Self
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.nn import functional
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from nodes.models.networks import call_memory
from nodes.models.residency import side_stream
from nodes.models.residency.activations import attend_on_meta
from nodes.models.residency.staged_reads import OpenFiles
from tests.full_size.cpu_only_torch import fake_cuda

_aten = torch.ops.aten
_BLOCK = 512
"""Bytes of which torch's allocator gives whole multiples."""
_LARGE = 16 << 20
"""Bytes: of copies to the host that are larger, weights', nothing is written or looked at."""
_EMPTY = {
    "empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "lift_fresh",
    "_unsafe_view", "_reshape_alias", "is_pinned", "device",
}  # fmt: skip
"""Ops that launch no kernel, beside those that return views."""
_READS = {"_local_scalar_dense", "item", "equal", "nonzero"}
"""Ops that the host waits for."""
_TAKES_INDICES = {"index", "index_put", "index_put_", "_index_put_impl_"}


@dataclass(slots=True)
class Counts:
    """What the card did since the last reset, and its memory now; names as the simulated device's.

    Sizes are in bytes.
    """

    ops: int = 0
    """Kernels; attention is one."""
    views: int = 0
    copies_to_device: int = 0
    bytes_to_device: int = 0
    copies_to_host: int = 0
    bytes_to_host: int = 0
    syncs: int = 0
    refusals: int = 0
    """Allocations that ended in `torch.OutOfMemoryError`."""
    live_bytes: int = 0
    peak_bytes: int = 0


class PretendedCard(TorchDispatchMode):
    """Pretends in the block, in the thread that enters it, that torch has a card.

    Args:
        budget: bytes of its memory; None: any number.
    """

    def __init__(self, budget: int | None = None) -> None:
        super().__init__()
        self.device = torch.device("cuda", 0)
        self.budget = budget
        self.counts = Counts()
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        self._forms: dict[Hashable, tuple[torch.Size, tuple[int, ...], torch.dtype]] = {}
        """What ops have made, by the forms of what they got."""
        self._sizes: dict[int, int] = {}
        self._pinned: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
        self._lock = threading.RLock()  # storages may die, and say so, inside of it
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(fake_cuda(self.device, self._answers()))
        attention = functional.scaled_dot_product_attention
        here = patch.object(functional, "scaled_dot_product_attention", self._attention(attention))
        self._stack.enter_context(here)
        self._stack.enter_context(patch.object(side_stream, "side_stream", lambda _: None))
        self._stack.enter_context(patch.object(OpenFiles, "read", _read_nothing))
        self._stack.enter_context(patch.object(call_memory, "_figures", OrderedDict()))
        self._stack.enter_context(patch.object(call_memory, "_on_meta", _on_meta))
        return super().__enter__()

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._stack.close()

    def reset(self) -> None:
        """Count from zero; the peak from the bytes that are in use now."""
        live = self.counts.live_bytes
        self.counts = Counts(live_bytes=live, peak_bytes=live)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an op, on the card if anything of it is there."""
        options = dict(kwargs or {})
        foreign = [each for each in types if each not in (Tensor, torch.nn.Parameter, FakeTensor)]
        if foreign:  # a quantized weight's own turn; what it does comes by here again
            with self._again():
                return foreign[0].__torch_dispatch__(func, types, args, options)
        if _is_composite(func):  # reached whole, below autograd: its parts come by here
            with self._again():
                parts = func.decompose(*args, **options)
            if parts is not NotImplemented:
                return parts
        tensors = [x for x in _pytree.arg_tree_leaves(*args, **options) if isinstance(x, Tensor)]
        own = any(_is_fake(x) for x in tensors)
        target = torch.device(options["device"]) if options.get("device") is not None else None
        if func in (_aten._to_copy.default, _aten.copy_.default):
            crossed = self._cross(func, args, options)
            if crossed is not None:
                return crossed
        if own or (target is not None and target.type == self.device.type):
            return self._compute(func, args, options, tensors, own=own)
        return self._on_host(func, args, options)

    def _again(self) -> "_Again":
        return _Again(self)

    def _compute(
        self,
        func: Any,
        args: tuple[Any, ...],
        options: dict[str, Any],
        tensors: Sequence[Tensor],
        *,
        own: bool,
    ) -> Any:
        """Run an op on the card."""
        name = _name(func)
        if name in _READS:
            return self._wait(name, args[0])
        if _is_view(func):
            self.counts.views += 1
            return func(*args, **options)
        self.counts.ops += name not in _EMPTY
        if name in _TAKES_INDICES:
            for index in (x for x in tensors if not _is_fake(x) and x.dim()):
                self._count_up(index.numel() * index.itemsize)
        if own:
            made = self._make(func, args, options)
        else:
            options["device"] = self.device
            with self._fake:
                made = func(*args, **options)
        for tensor in _pytree.tree_leaves(made):
            if isinstance(tensor, FakeTensor):
                self._take(tensor)
        return made

    def _make(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Return what an op makes; of equal ops it is made in less time than torch's fakes take."""
        if not _makes_one(func):
            return func(*args, **options)
        key = func, _form(args), _form(tuple(options.items()))
        if key not in self._forms:
            made = func(*args, **options)
            self._forms[key] = made.shape, made.stride(), made.dtype
            return made
        shape, stride, dtype = self._forms[key]
        empty = torch.empty_strided(shape, stride, dtype=dtype, device="meta")
        return FakeTensor(self._fake, empty, self.device)

    def _wait(self, name: str, asked: Tensor) -> Any:
        """Answer an op whose result the host reads."""
        self.counts.syncs += 1
        if name != "nonzero":
            self.counts.copies_to_host += 1
            return _number(asked)
        shape = max(1, asked.numel() // 4), asked.dim()
        with self._fake:
            return self._take(torch.empty(shape, dtype=torch.int64, device=self.device))

    def _cross(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Copy between the host and the card; None if both ends are on one side."""
        if func is _aten.copy_.default:
            return self._cross_into(*args[:2])
        source, dtype = args[0], options.get("dtype") or args[0].dtype
        device = torch.device(options.get("device") or source.device)
        if _is_fake(source) == (device.type == self.device.type):
            return None
        if _is_fake(source):
            return self._read(source, dtype)
        self._count_up(source.numel() * source.itemsize)
        shape, strides = source.shape, source.stride()
        with self._fake:
            made = torch.empty_strided(shape, strides, dtype=dtype, device=self.device)
        return self._take(made)

    def _cross_into(self, to: Tensor, source: Tensor) -> Tensor | None:
        if _is_fake(to) == _is_fake(source):
            return to if self._is_pinned(to) else None
        if _is_fake(source):
            read = self._read(source, to.dtype)
            return to if self._is_pinned(to) else to.copy_(read)
        self._count_up(source.numel() * to.itemsize)
        return to

    def _is_pinned(self, tensor: Tensor) -> bool:
        """True for memory that nothing is written to, so that it takes none of the machine's."""
        return tensor.untyped_storage() in self._pinned

    def _read(self, source: Tensor, dtype: torch.dtype) -> Tensor:
        self.counts.copies_to_host += 1
        self.counts.bytes_to_host += source.numel() * source.itemsize
        if source.numel() * dtype.itemsize > _LARGE:
            return torch.empty(source.shape, dtype=dtype)
        return torch.full(source.shape, dtype == torch.bool, dtype=dtype)

    def _count_up(self, nbytes: int) -> None:
        self.counts.copies_to_device += 1
        self.counts.bytes_to_device += nbytes

    def _on_host(self, func: Any, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Run an op on the CPU; any of its memory may be pinned."""
        name = _name(func)
        if name == "is_pinned":
            return self._is_pinned(args[0])
        pinned = bool(options.pop("pin_memory", False))
        made = _aten.clone.default(args[0]) if name == "_pin_memory" else func(*args, **options)
        if pinned or name == "_pin_memory":
            self._pinned.add(made.untyped_storage())
        return made

    def _take(self, tensor: Tensor) -> Tensor:
        """Account for the memory of a tensor on the card, which another may have, too.

        Raises:
            torch.OutOfMemoryError: it is beyond the budget.
        """
        storage = tensor.untyped_storage()
        key, counts = storage._cdata, self.counts
        size = math.ceil(storage.nbytes() / _BLOCK) * _BLOCK
        with self._lock:
            if key in self._sizes:
                return tensor
            if self.budget is not None and counts.live_bytes + size > self.budget:
                counts.refusals += 1
                message = f"CUDA out of memory. Tried to allocate {size / 2**20:.2f} MiB."
                raise torch.OutOfMemoryError(message)
            self._sizes[key] = size
            counts.live_bytes += size
            counts.peak_bytes = max(counts.peak_bytes, counts.live_bytes)
        weakref.finalize(storage, self._free, key)
        return tensor

    def _free(self, key: int) -> None:
        with self._lock:
            self.counts.live_bytes -= self._sizes.pop(key)

    def _answers(self) -> dict[str, Callable[..., Any]]:
        """What the driver says of the card."""

        def memory(_: object = None) -> tuple[int, int]:
            total = 1 << 50 if self.budget is None else self.budget
            return total - self.counts.live_bytes, total

        def wait(_: object = None) -> None:
            self.counts.syncs += 1

        return {
            "get_memory_info": memory,
            "memory_allocated": lambda _=None: self.counts.live_bytes,
            "memory_reserved": lambda _=None: self.counts.live_bytes,
            "empty_cache": lambda: None,
            "synchronize": wait,
        }

    def _attention(self, attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """Attention as one kernel, with the checks that a card's have."""

        def one_kernel(
            query: Tensor,
            key: Tensor,
            value: Tensor,
            attn_mask: Tensor | None = None,
            *a: Any,
            **o: Any,
        ) -> Tensor:
            if query.is_meta and not isinstance(query, FakeTensor):
                return attend_on_meta(query, key, value)
            if not _is_fake(query):
                return attend(query, key, value, attn_mask, *a, **o)
            inputs = [query, key, value] if attn_mask is None else [query, key, value, attn_mask]
            assert {x.device for x in inputs} == {self.device}
            assert {x.dtype for x in inputs} <= {query.dtype, torch.bool}
            self.counts.ops += 1
            batch, heads, length, _ = query.shape
            with self._fake:
                shape = (batch, length, heads, value.shape[-1])
                made = torch.empty(shape, dtype=query.dtype, device=self.device)
                return self._take(made).transpose(1, 2)

        return one_kernel


class _Again:
    """The mode once more, from inside of its dispatch, where it is off."""

    def __init__(self, card: PretendedCard) -> None:
        self._card = card

    def __enter__(self) -> None:
        TorchDispatchMode.__enter__(self._card)

    def __exit__(self, *raised: object) -> None:
        TorchDispatchMode.__exit__(self._card, None, None, None)


def _read_nothing(_: OpenFiles, path: object, start: int, target: memoryview) -> int:
    """Read zeros, which is all that the files have."""
    del path, start
    return len(target)


def _on_meta(tensor: Tensor) -> Tensor:
    """Return a tensor without numbers that is no fake: what a call takes is found with such."""
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


@cache
def _name(func: Any) -> str:
    return func._schema.name.split("::")[1]


def _is_fake(value: object) -> bool:
    return isinstance(value, FakeTensor) and value.device.type == "cuda"


@cache
def _makes_one(func: Any) -> bool:
    """Return True for an op that returns one new tensor, and changes nothing."""
    returns = func._schema.returns
    single = len(returns) == 1 and isinstance(returns[0].type, torch.TensorType)
    return single and returns[0].alias_info is None and not func._schema.is_mutable


def _form(value: Any) -> Hashable:
    """Return what the result of an op depends on, of one of its arguments."""
    if isinstance(value, Tensor):
        offset = value.storage_offset()
        return value.shape, value.stride(), value.dtype, value.device, offset
    if isinstance(value, list | tuple):
        return tuple([_form(each) for each in value])
    return type(value), value


@cache
def _is_view(func: Any) -> bool:
    returns = func._schema.returns
    aliases = [each.alias_info for each in returns]
    return bool(returns) and all(each is not None and not each.is_write for each in aliases)


@cache
def _is_composite(func: Any) -> bool:
    key = "CompositeImplicitAutograd"
    if func.namespace != "aten" or not func._can_decompose():
        return False
    return torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), key)


def _number(tensor: Tensor) -> bool | float | int:
    if tensor.dtype == torch.bool:
        return True
    return 0.0 if tensor.dtype.is_floating_point else 0
