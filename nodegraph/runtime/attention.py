"""The attention kernels of the present run, as the settings choose them."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias

Attention: TypeAlias = Literal["sdpa", "math", "flash", "xformers", "sage"]
"""The kernels that compute attention: torch's choice, its plainest, or a fast kind."""
DEFAULT: Attention = "sdpa"

_ATTENTION: ContextVar[Attention] = ContextVar("attention", default=DEFAULT)


def attention() -> Attention:
    """Return the kernels that this thread's run uses."""
    return _ATTENTION.get()


@contextmanager
def computing(attention: Attention) -> Generator[None]:
    """Let networks that run inside the block use these kernels."""
    token = _ATTENTION.set(attention)
    try:
        yield
    finally:
        _ATTENTION.reset(token)
