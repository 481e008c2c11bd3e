"""How networks compute in this run, as the settings choose it; read by whatever runs them."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, TypeAlias

Attention: TypeAlias = Literal["sdpa", "math", "flash", "xformers", "sage"]
"""Which kernels compute attention: torch's choice, its plainest, or a fast kind."""
DEFAULT: Attention = "sdpa"

_ATTENTION: ContextVar[Attention] = ContextVar("attention", default=DEFAULT)


def attention() -> Attention:
    """What this thread's run asks for."""
    return _ATTENTION.get()


@contextmanager
def computing(attention: Attention) -> Generator[None]:
    """Let networks that run inside compute so."""
    token = _ATTENTION.set(attention)
    try:
        yield
    finally:
        _ATTENTION.reset(token)
