"""The kernels that compute attention, for all networks.

Networks call `torch.nn.functional.scaled_dot_product_attention`. The kernel that the settings ask
for replaces that function in the thread where a network runs, one call at a time, and leaves to
torch what it can not compute. Nothing is set for the process, so runs in other threads do not see
each other's choice.
"""

import logging
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeAlias, cast

import torch
from torch import Tensor
from torch.backends import cuda
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from nodegraph.runtime.choices import Attention
from nodegraph.runtime.run_environment import run_environment
from nodes.models.weights.errors import UnavailableHereError

_XFORMERS, _SAGE = "xformers", "sageattention"
_FLASH_STEP = 8
"""The size of a head must be a multiple of this for FlashAttention; torch pads others itself."""
_SAGE_WIDEST = 128
"""The largest head of SageAttention."""
_HALVES = (torch.float16, torch.bfloat16)
_log = logging.getLogger(__name__)


class AttentionInputs(NamedTuple):
    """The arguments of torch's function, by its names."""

    query: Tensor
    """[batch, heads, length, size], as the key and the value."""
    key: Tensor
    value: Tensor
    attn_mask: Tensor | None = None
    dropout_p: float = 0.0
    is_causal: bool = False
    scale: float | None = None
    enable_gqa: bool = False

    @property
    def is_plain(self) -> bool:
        """True if there is nothing but a query, a key and a value."""
        return self.attn_mask is None and not any(self[4:])

    def for_torch(self) -> Any:
        """Return the parameters that torch's questions about its kernels take."""
        without_scale = (*self[:6], self.enable_gqa)
        return cast("Any", cuda).SDPAParams(*without_scale)


Kernel: TypeAlias = Callable[[AttentionInputs], Tensor | None]
"""Returns [batch, heads, length, size], or None if torch should compute it."""


class _Xformers(Protocol):
    def memory_efficient_attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class _Sage(Protocol):
    def sageattn(
        self, query: Tensor, key: Tensor, value: Tensor, *, tensor_layout: str
    ) -> Tensor: ...


class AttendWith(TorchFunctionMode):
    """Computes attention by a kernel where it can, in the thread that enters the block."""

    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self._kernel = kernel

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch, or the kernel in place of its attention."""
        more = dict(kwargs or {})
        if func is not functional.scaled_dot_product_attention:
            return func(*args, **more)
        found = self._kernel(AttentionInputs(*args, **more))
        return func(*args, **more) if found is None else found


@contextmanager
def attention_backend() -> Generator[None]:
    """Let networks in the block use the attention kernels that the run's settings ask for.

    Raises:
        UnavailableHereError: what they ask for is not installed.
    """
    with _CHOICES[run_environment().attention]():
        yield


def math_kernel(inputs: AttentionInputs) -> Tensor:
    """Compute attention as its definition says, matrix by matrix."""
    query, key, value, mask, dropout, causal, scale, grouped = inputs
    if mask is not None and mask.dtype == torch.bool:
        mask = query.new_zeros(mask.shape).masked_fill(~mask, -torch.inf)
    attend = torch.ops.aten._scaled_dot_product_attention_math  # noqa: SLF001 - torch has no other
    found = attend(query, key, value, mask, dropout, causal, scale=scale, enable_gqa=grouped)
    return cast("Tensor", found[0])


def flash_kernel(inputs: AttentionInputs) -> Tensor | None:
    """Compute attention by torch's FlashAttention, where the device and the inputs allow it."""
    query, key, value = inputs[:3]
    fits = inputs.is_plain and query.is_cuda and not query.shape[-1] % _FLASH_STEP
    if not fits or not cuda.can_use_flash_attention(inputs.for_torch()):
        return None
    attend = torch.ops.aten._scaled_dot_product_flash_attention  # noqa: SLF001 - as above
    return cast("Tensor", attend(query, key, value)[0])


def cudnn_kernel(inputs: AttentionInputs) -> Tensor | None:
    """Compute attention by cuDNN, where the device and the inputs allow it."""
    query, key, value = inputs[:3]
    fits = inputs.is_plain and query.is_cuda
    if not fits or not cuda.can_use_cudnn_attention(inputs.for_torch()):
        return None
    attend = torch.ops.aten._scaled_dot_product_cudnn_attention  # noqa: SLF001 - as above
    return cast("Tensor", attend(query, key, value, None, compute_log_sumexp=False)[0])


def _math() -> AbstractContextManager[object]:
    return AttendWith(math_kernel)


def _flash() -> AbstractContextManager[object]:
    return AttendWith(flash_kernel)


def _cudnn() -> AbstractContextManager[object]:
    return AttendWith(cudnn_kernel)


def _not_installed(package: str) -> UnavailableHereError:
    return UnavailableHereError(
        code="attention_unavailable",
        what=f"attention by the package {package!r}",
        reason="it is not installed",
        hint=f"pip install {package}; or use --attention sdpa, which is always there.",
    )


def _xformers() -> AbstractContextManager[object]:
    try:
        import xformers.ops  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _not_installed(_XFORMERS) from error
    found = cast("_Xformers", xformers.ops)

    def attend(inputs: AttentionInputs) -> Tensor | None:
        if not inputs.is_plain:
            return None
        moved = (x.transpose(1, 2) for x in inputs[:3])
        return found.memory_efficient_attention(*moved).transpose(1, 2)

    return AttendWith(attend)


def _sage() -> AbstractContextManager[object]:
    try:
        import sageattention  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _not_installed(_SAGE) from error
    found = cast("_Sage", sageattention)

    def attend(inputs: AttentionInputs) -> Tensor | None:
        query, key, value = inputs[:3]
        if not inputs.is_plain:
            return None
        if query.dtype not in _HALVES:
            _log_fallback(f"inputs of {str(query.dtype).removeprefix('torch.')}")
            return None
        if query.shape[-1] > _SAGE_WIDEST:
            _log_fallback(f"heads of {query.shape[-1]} numbers")
            return None
        return found.sageattn(query, key, value, tensor_layout="HND")

    return AttendWith(attend)


@cache
def _log_fallback(what: str) -> None:
    """Log, once for each reason, that torch computes what SageAttention can not."""
    _log.warning("SageAttention has no kernel for %s: torch computes their attention", what)


_CHOICES: Mapping[Attention, Callable[[], AbstractContextManager[object]]] = {
    "sdpa": nullcontext,
    "math": _math,
    "flash": _flash,
    "cudnn": _cudnn,
    "xformers": _xformers,
    "sage": _sage,
}
