"""The models in memory that the runs of one engine share, and reports of their use."""

import threading
import time
from collections.abc import Callable, Collection, Hashable
from typing import Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from nodegraph.runtime.run_environment import ModelListener, run_environment

T = TypeVar("T")


class PooledModel(Protocol):
    """A model whose weights can be let go of, and are read again when they are needed."""

    def unload(self) -> bool:
        """Let go of the weights; False if there are none."""
        ...


M = TypeVar("M", bound=PooledModel)


class ModelPool:
    """The models that something still refers to: one object for each content.

    Every engine has its own, which nodes reach as `Context.models`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._models: WeakValueDictionary[Hashable, PooledModel] = WeakValueDictionary()

    def share(self, key: Hashable, make: Callable[[], M]) -> M:
        """Return the model of this key, made if nothing refers to it any more.

        Args:
            key: equal for equal models, and only for those.
            make: makes the model; only one thread at a time does.
        """
        with self._lock:
            found = self._models.get(key)
            if found is None:
                found = self._models[key] = make()
            return cast("M", found)

    def unload(self, keep: Collection[PooledModel]) -> bool:
        """Let go of the weights of all other models; True if that freed anything."""
        with self._lock:
            others = [model for model in self._models.values() if model not in keep]
        freed = [model.unload() for model in others]
        return any(freed)

    def __len__(self) -> int:
        return len(self._models)


def held_or_loaded(model: Hashable, held: T | None, load: Callable[[], T]) -> T:
    """Return the weights of a model that this thread's run uses, and tell the run's listener.

    Args:
        model: stands for it; equal for equal models.
        held: its weights, if they are in memory.
        load: loads them.
    """
    started = time.perf_counter()
    weights = load() if held is None else held
    listener = run_environment().on_model_use
    if listener is not None:
        listener(model, time.perf_counter() - started if held is None else None)
    return weights


def once_a_model(listener: ModelListener) -> ModelListener:
    """Return a listener that tells this one of each model's first use only."""
    heard: set[Hashable] = set()

    def hear(model: Hashable, seconds: float | None) -> None:
        if model not in heard:
            heard.add(model)
            listener(model, seconds)

    return hear
