"""The models that the runs of one engine share: their weights stay in memory up to a budget."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import TypeVar, cast
from weakref import WeakValueDictionary

from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.run_environment import run_environment

T = TypeVar("T")
M = TypeVar("M", bound=PooledModel)


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The state of a pool, and its counts since it was made."""

    models: int = 0
    """Models whose weights it holds."""
    nbytes: int = 0
    """Bytes of those weights."""
    limit: int = 0
    """Bytes that it may hold between runs; 0 also while that is not decided yet."""
    hits: int = 0
    """Models that a run found in memory."""
    loads: int = 0
    """Models that a run had to load."""
    evictions: int = 0
    """Models whose weights were let go of to make room."""


class ModelPool:
    """One model object for each content, and the weights that were used last.

    Every engine has its own, which nodes reach as `Context.models`. Weights that a run claims
    stay; of all others, the least recently used go as soon as all together exceed the budget.

    Args:
        budget: the bytes of weights, or a function that returns them when they are first needed.
        device_budget: the bytes of the accelerator that weights may take even while runs use
            them, likewise; what exceeds them is streamed. None: all there is.
    """

    def __init__(
        self,
        budget: int | Callable[[], int] = 0,
        device_budget: int | Callable[[], int] | None = None,
    ) -> None:
        self._budget = budget
        self._device_budget = device_budget
        self._lock = threading.Lock()
        self._models: WeakValueDictionary[Hashable, PooledModel] = WeakValueDictionary()
        self._recent: OrderedDict[int, PooledModel] = OrderedDict()
        """Models that runs have used, the last one last, by identity."""
        self._claims: Counter[int] = Counter()
        self._hits = self._loads = self._evictions = 0

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

    def claim(self, model: PooledModel) -> None:
        """Keep a model's weights until `release`; counted, for several runs may claim it."""
        with self._lock:
            self._claims[id(model)] += 1

    def release(self, model: PooledModel) -> None:
        """Take back a claim, and let go of what then exceeds the budget."""
        with self._lock:
            self._claims[id(model)] -= 1
            if self._claims[id(model)]:
                return
            del self._claims[id(model)]
            victims = self._take_surplus()
        _unload(victims)

    def make_room(self, model: PooledModel) -> None:
        """Let go of other weights before those of a model are loaded.

        On an accelerator the model gets the room that is left there. If that is less than a
        quarter of all, the largest model that only this run uses gives up some of its own.
        """
        planned = self._device_budget is not None and model.on_accelerator
        with self._lock:
            limit = min(self._limit(), self._device_limit()) if planned else self._limit()
            self._recent.pop(id(model), None)
            victims = self._take_surplus(model.nbytes(), limit)
        _unload(victims)
        if planned:
            self._share_device(model)

    def note_use(self, model: PooledModel, *, loaded: bool) -> None:
        """Note that a run uses a model, which it found in memory or had to load."""
        with self._lock:
            self._recent[id(model)] = model
            self._recent.move_to_end(id(model))
            self._loads += loaded
            self._hits += not loaded

    def unload(self, keep: Collection[PooledModel]) -> bool:
        """Let go of the weights of other models, and of old copies of those that are kept.

        What another run claims stays as it is: that run would only read it again.

        Args:
            keep: the models whose weights stay.

        Returns:
            True if that freed anything.
        """
        uses = run_environment().models
        own = () if uses is None else uses.claims
        with self._lock:
            foreign = {key for key, count in self._claims.items() if count > (key in own)}
            models = [model for model in self._models.values() if id(model) not in foreign]
            kept = {id(model) for model in keep}
            stay = kept | foreign
            self._recent = OrderedDict((k, v) for k, v in self._recent.items() if k in stay)
        freed = [model.trim() if id(model) in kept else model.unload() for model in models]
        return any(freed)

    def unload_idle(self) -> bool:
        """Let go of all weights that no run claims; True if there were any."""
        with self._lock:
            victims = [model for key, model in self._recent.items() if key not in self._claims]
            for model in victims:
                del self._recent[id(model)]
        return _unload(victims)

    @property
    def stats(self) -> PoolStats:
        """The state of the pool, and its counts so far."""
        with self._lock:
            sizes = [size for model in self._recent.values() if (size := model.held_bytes)]
            limit = self._budget if isinstance(self._budget, int) else 0
            counts = (self._hits, self._loads, self._evictions)
            return PoolStats(len(sizes), sum(sizes), limit, *counts)

    def __len__(self) -> int:
        return len(self._models)

    def _limit(self) -> int:
        if not isinstance(self._budget, int):
            self._budget = self._budget()
        return self._budget

    def _device_limit(self) -> int:
        budget = self._device_budget
        if budget is not None and not isinstance(budget, int):
            budget = self._device_budget = budget()
        return budget or 0

    def _share_device(self, model: PooledModel) -> None:
        """Give a model its part of the accelerator, beside those that stay there."""
        uses = run_environment().models
        own = () if uses is None else uses.claims
        with self._lock:
            budget = self._device_limit()
            others = [other for other in self._recent.values() if other.on_accelerator]
            room = budget - sum(other.held_bytes for other in others)
            mine = [other for other in others if self._claims[id(other)] == (id(other) in own)]
        missing = min(model.nbytes(), budget // 4) - room
        if missing > 0 and mine:
            largest = max(mine, key=lambda other: other.held_bytes)
            largest.resize(max(largest.held_bytes - missing, 0))
            room += missing
        model.resize(max(room, 0))

    def _take_surplus(self, wanted: int = 0, limit: int | None = None) -> list[PooledModel]:
        """Remove from the list and return what must go so that `wanted` more bytes fit."""
        if not self._recent:
            return []
        limit = self._limit() if limit is None else limit
        surplus = wanted + sum(model.held_bytes for model in self._recent.values()) - limit
        victims: list[PooledModel] = []
        for key, model in list(self._recent.items()):
            if surplus <= 0:
                break
            if key not in self._claims:
                victims.append(self._recent.pop(key))
                surplus -= model.held_bytes
        self._evictions += len(victims)
        return victims


def held_or_loaded(model: PooledModel, held: T | None, load: Callable[[], T]) -> T:
    """Return the weights of a model, and tell the run of this thread that it uses them.

    Args:
        model: whose weights they are.
        held: its weights, if they are in memory.
        load: loads them.
    """
    uses = run_environment().models
    if uses is None:
        return load() if held is None else held
    if held is not None:
        uses.note(model, None)
        return held
    uses.make_room(model)
    started = time.perf_counter()
    weights = load()
    uses.note(model, time.perf_counter() - started)
    return weights


def _unload(models: Collection[PooledModel]) -> bool:
    """Let go of weights; never under the pool's lock, for who loads them may wait for that."""
    freed = [model.unload() for model in models]
    return any(freed)
