"""The kernels that compute attention, for all networks.

Networks call `torch.nn.functional.scaled_dot_product_attention`. Torch's own kernels are chosen
by its context manager; xformers and SageAttention replace that function while a network runs.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol, TypeAlias, cast

from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from nodegraph.runtime.choices import Attention
from nodegraph.runtime.run_environment import run_environment
from nodes.models.weights.errors import UnavailableHereError

Attend: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Query, key and value, [batch, heads, length, size] each, to [batch, heads, length, size]."""
_XFORMERS, _SAGE = "xformers", "sageattention"
_INPUTS = ("query", "key", "value")
_FASTEST_FIRST = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class _Xformers(Protocol):
    def memory_efficient_attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor: ...


class _Sage(Protocol):
    def sageattn(
        self, query: Tensor, key: Tensor, value: Tensor, *, tensor_layout: str
    ) -> Tensor: ...


class AttendWith(TorchFunctionMode):
    """Computes attention without a mask by another function; with a mask, torch does."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self._attend = attend

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a function of torch, or the replacement of its attention."""
        more = dict(kwargs or {})
        if func is not functional.scaled_dot_product_attention or not _is_plain(args, more):
            return func(*args, **more)
        return self._attend(*(args or (more["query"], more["key"], more["value"])))


@contextmanager
def attention_backend() -> Generator[None]:
    """Let networks in the block use the attention kernels that the run's settings ask for.

    Raises:
        UnavailableHereError: what they ask for is not installed.
    """
    with _CHOICES[run_environment().attention]():
        yield


def _is_plain(args: tuple[Any, ...], more: Mapping[str, Any]) -> bool:
    """Return True if there is nothing but a query, a key and a value."""
    return len(args) in (0, 3) and not any(
        isinstance(value, Tensor) or value for name, value in more.items() if name not in _INPUTS
    )


def _flash() -> AbstractContextManager[object]:
    return cast("AbstractContextManager[object]", sdpa_kernel(_FASTEST_FIRST, set_priority=True))


def _math() -> AbstractContextManager[object]:
    return cast("AbstractContextManager[object]", sdpa_kernel([SDPBackend.MATH]))


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

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        moved = (x.transpose(1, 2) for x in (query, key, value))
        return found.memory_efficient_attention(*moved).transpose(1, 2)

    return AttendWith(attend)


def _sage() -> AbstractContextManager[object]:
    try:
        import sageattention  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise _not_installed(_SAGE) from error
    found = cast("_Sage", sageattention)
    return AttendWith(lambda q, k, v: found.sageattn(q, k, v, tensor_layout="HND"))


_CHOICES: Mapping[Attention, Callable[[], AbstractContextManager[object]]] = {
    "sdpa": nullcontext,
    "math": _math,
    "flash": _flash,
    "xformers": _xformers,
    "sage": _sage,
}
