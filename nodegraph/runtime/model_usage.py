"""Reports each model that a run uses: if it was in memory, or how long it took to load."""

import time
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias, TypeVar

T = TypeVar("T")
Listener: TypeAlias = Callable[[Hashable, float | None], None]
"""Gets the model's key, and the seconds it took to load; None if it was in memory."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


def held_or_loaded(model: Hashable, held: T | None, load: Callable[[], T]) -> T:
    """Return the weights of a model that this thread's run uses, and tell the listener.

    Args:
        model: stands for it; equal for equal models.
        held: its weights, if they are in memory.
        load: loads them.
    """
    started = time.perf_counter()
    weights = load() if held is None else held
    listener = _LISTENER.get()
    if listener is not None:
        listener(model, time.perf_counter() - started if held is None else None)
    return weights


@contextmanager
def hearing(listener: Listener) -> Generator[None]:
    """Tell a listener of the models that are used inside the block, each once."""
    heard: set[Hashable] = set()

    def once(model: Hashable, seconds: float | None) -> None:
        if model not in heard:
            heard.add(model)
            listener(model, seconds)

    token = _LISTENER.set(once)
    try:
        yield
    finally:
        _LISTENER.reset(token)
