"""The models that one run uses, and what it claims of their weights."""

from collections import Counter
from collections.abc import Collection, Iterable
from weakref import WeakSet

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.run_environment import ModelListener


class RunModels:
    """The models of one run, which one thread computes.

    A model in a result of the run stays claimed until the last such result is released. One
    that is used, but in no result that can be looked into, stays claimed to the end of the run.

    Args:
        pool: the engine's.
        listener: gets each model's first use.
    """

    def __init__(self, pool: ModelPool, listener: ModelListener | None) -> None:
        self._pool = pool
        self._listener = listener
        self._heard: WeakSet[PooledModel] = WeakSet()
        self._held: Counter[int] = Counter()
        self._claimed: dict[int, PooledModel] = {}

    @property
    def claims(self) -> Collection[int]:
        """The models whose weights the run claims, by identity."""
        return self._claimed

    def hold(self, models: Iterable[PooledModel]) -> None:
        """Claim the models of a result that is still to be read."""
        for model in models:
            self._claim(model)
            self._held[id(model)] += 1

    def release(self, models: Iterable[PooledModel]) -> None:
        """Take back one `hold`."""
        for model in models:
            self._held[id(model)] -= 1
            if not self._held[id(model)]:
                del self._held[id(model)]
                self._pool.release(self._claimed.pop(id(model)))

    def make_room(self, model: PooledModel) -> None:
        """Prepare for the loading of a model's weights."""
        self._claim(model)
        self._pool.make_room(model)

    def note(self, model: PooledModel, seconds: float | None) -> None:
        """Note a use of a model; `seconds` that loading took, None if it was in memory."""
        known = model in self._heard
        if known and seconds is None:
            return
        self._claim(model)
        self._pool.note_use(model, loaded=seconds is not None)
        if not known:
            self._heard.add(model)
            if self._listener is not None:
                self._listener(model, seconds)

    def end(self) -> None:
        """Take back all claims."""
        self._held.clear()
        while self._claimed:
            self._pool.release(self._claimed.popitem()[1])

    def _claim(self, model: PooledModel) -> None:
        if id(model) not in self._claimed:
            self._claimed[id(model)] = model
            self._pool.claim(model)
