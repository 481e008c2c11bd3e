"""The models that the runs of one engine share: their weights stay in memory up to a budget."""

import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast
from weakref import WeakSet, WeakValueDictionary

from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.residency import CLAIMED, NOW, QUEUED, DeviceMemory, ModelUse, Residency
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


class Run(Protocol):
    """A run, as far as others plan with it."""

    @property
    def claims(self) -> Collection[int]:
        """The models whose weights it claims, by identity."""
        ...

    @property
    def repeating(self) -> Collection[int]:
        """The models that its present node calls again and again."""
        ...

    @property
    def next_uses(self) -> Mapping[int, float]:
        """The distances of the next uses of models after its present node, in nodes."""
        ...


class ModelPool:
    """One model object for each content, and the weights that were used last.

    Every engine has its own, which nodes reach as `Context.models`. Weights that a run claims
    stay; of all others, the least recently used go as soon as all together exceed the budget.
    On an accelerator they move to the host as its memory and the plans of the runs ask for it;
    see `nodegraph.runtime.residency`.

    Args:
        budget: the bytes of weights, or a function that returns them when they are first needed.
        memory: the accelerator's; weights that do not fit there are streamed. None: all fit.
        spill: moves results from the accelerator to the host, at least so many bytes if there are
            as many, and returns the bytes that became free.
    """

    def __init__(
        self,
        budget: int | Callable[[], int] = 0,
        memory: DeviceMemory | None = None,
        spill: Callable[[int], int] | None = None,
    ) -> None:
        self._budget = budget
        self._spill = spill or _nothing
        self._residency = None if memory is None else Residency(memory)
        self._runs: WeakSet[Run] = WeakSet()
        self._queued: Mapping[int, float] = {}
        self.epoch = 0
        """Changes whenever weights of the accelerator have moved."""
        self._lock = threading.Lock()
        self._models: WeakValueDictionary[Hashable, PooledModel] = WeakValueDictionary()
        self._recent: OrderedDict[int, PooledModel] = OrderedDict()
        """Models that runs have used, the last one last, by identity."""
        self._claims: Counter[int] = Counter()
        self._pinned: dict[int, PooledModel] = {}
        """Models with a claim that is never taken back, by identity."""
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

    def pin(self, model: PooledModel) -> None:
        """Keep a model's weights for as long as there is the pool, however often it is told."""
        with self._lock:
            if id(model) not in self._pinned:
                self._pinned[id(model)] = model
                self._claims[id(model)] += 1

    def join(self, run: Run) -> None:
        """Let the plan of a run count as long as there is the run."""
        with self._lock:
            self._runs.add(run)

    @property
    def plans(self) -> bool:
        """True if an accelerator's memory is planned."""
        return self._residency is not None

    def expect(self, distances: Mapping[int, float]) -> None:
        """Take note of the models of the run that comes next; of none if it has begun.

        Args:
            distances: of their uses, in nodes from its beginning, by identity.
        """
        self._queued = distances

    def make_room(self, model: PooledModel) -> None:
        """Let go of other weights before those of a model are loaded in the machine's memory."""
        with self._lock:
            self._limit()
            self._recent.pop(id(model), None)
            victims = self._take_surplus(model.nbytes())
        _unload(victims)

    def plan(self, use: ModelUse, *, begins: bool) -> None:
        """Make room on the accelerator for models that are about to compute there.

        If they do not fit beside all that is there, results move to the host, then other models
        as far as they must, those whose next use is the farthest first; what does not fit of the
        models themselves is streamed. To be called by who has the device's lane.

        Args:
            use: the models.
            begins: a node begins to use them.
        """
        residency = self._residency
        if residency is None:
            return
        with self._lock:
            self._limit()
            mine = Counter(id(model) for model in use.models)  # the run claims them, too
            others = [model for key, model in self._recent.items() if key not in mine]
            others = [model for model in others if model.on_accelerator and model.held_bytes]
            short = residency.shortage(use, others)
        if short:
            self._spill(short)
        with self._lock:
            for model in use.models if begins else ():
                residency.note_use(model)
            changes = residency.plan(
                use,
                others,
                lambda model, later: self._next_use(model, mine, later=later),
                begins=begins,
            )
        held = {id(model): model.held_bytes for model, _ in changes}
        for model, share in changes:
            self._resize(model, share, waits=id(model) not in mine)
        if any(model.held_bytes != held[id(model)] for model, _ in changes):
            self.epoch += 1

    def spare_bytes(self, models: Collection[PooledModel], wanted: int = 0) -> int | None:
        """Return the most bytes that a call can take beside the weights of its models.

        For that, all other weights leave the accelerator, and of its models what can be streamed.
        None if there is no accelerator whose memory is planned.

        Args:
            models: those that the call computes with.
            wanted: the bytes that it would take; if there are fewer, results move to the host.
        """
        if self._residency is None or not all(model.on_accelerator for model in models):
            return None
        with self._lock:
            known = {id(model): model for model in (*self._recent.values(), *models)}
        held = sum(model.held_bytes for model in known.values() if model.on_accelerator)
        memory, least = self._residency.memory, sum(model.least_bytes for model in models)
        short = wanted - (memory.spare(held) - least)
        if short > 0:
            self._spill(short)
        return max(memory.spare(held) - least, 0)

    def shrink(self, use: ModelUse) -> bool:
        """Let the largest model of a use keep half of what it has on the accelerator.

        For a use that found too little memory: later ones like it get no more than this. To be
        called by who has the device's lane.

        Returns:
            True if that freed anything.
        """
        able = [model for model in use.models if model.held_bytes > model.least_bytes]
        if self._residency is None or not able:
            return False
        largest = max(able, key=lambda model: model.held_bytes)
        before = largest.held_bytes
        largest.resize(max(before // 2, largest.least_bytes))
        with self._lock:
            others = [model for model in self._recent.values() if model.on_accelerator]
            self._residency.note_shortage(use, sum(model.held_bytes for model in others))
        self.epoch += 1
        return largest.held_bytes < before

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
            sizes = [size for model in self._recent.values() if (size := _kept_bytes(model))]
            limit = self._budget if isinstance(self._budget, int) else 0
            counts = (self._hits, self._loads, self._evictions)
            return PoolStats(len(sizes), sum(sizes), limit, *counts)

    @property
    def sources(self) -> Collection[str]:
        """The paths of the files whose weights it holds, each once."""
        with self._lock:
            kept = [model for model in self._recent.values() if _kept_bytes(model)]
        return {model.source: None for model in kept if model.source}.keys()

    def __len__(self) -> int:
        return len(self._models)

    def _limit(self) -> int:
        if not isinstance(self._budget, int):
            self._budget = self._budget()
        return self._budget

    def _next_use(
        self, model: PooledModel, own: Mapping[int, int], *, later: bool = False
    ) -> float | None:
        """Return the distance of a model's next use by the plans of all runs; None if unknown.

        Args:
            model: any.
            own: claims that end with the present use.
            later: True to skip the nodes that are at the model now.
        """
        key = id(model)
        if not later and any(key in run.repeating for run in self._runs):
            return NOW
        known = [run.next_uses[key] for run in self._runs if key in run.next_uses]
        if key in self._queued:
            known.append(QUEUED + self._queued[key])
        if self._claims[key] > own.get(key, 0):
            known.append(CLAIMED)
        return min(known, default=None)

    def _resize(self, model: PooledModel, share: int, *, waits: bool) -> None:
        """Let a model have so much of the accelerator; without room on the host it is let go of."""
        leaves = max(model.held_bytes - share, 0)
        assert self._residency is not None, "who has shares has memory"
        with self._lock:
            parked = sum(each.host_bytes for each in self._recent.values())
            fits = not leaves or self._residency.memory.may_park(parked + leaves)
        if not fits:
            model.unload()
        model.resize(share, waits=waits)

    def _take_surplus(self, wanted: int = 0) -> list[PooledModel]:
        """Remove from the list and return what must go so that `wanted` more bytes fit."""
        if not self._recent:
            return []
        kept = sum(_kept_bytes(model) for model in self._recent.values())
        surplus = wanted + kept - self._limit()
        victims: list[PooledModel] = []
        for key, model in list(self._recent.items()):
            if surplus <= 0:
                break
            if key not in self._claims:
                victims.append(self._recent.pop(key))
                surplus -= _kept_bytes(model)
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


def _nothing(_: int) -> int:
    """Free nothing: there are no results."""
    return 0


def _kept_bytes(model: PooledModel) -> int:
    """Return the bytes of a model's weights, on the accelerator and parked on the host."""
    return model.held_bytes + model.host_bytes


def _unload(models: Collection[PooledModel]) -> bool:
    """Let go of weights; never under the pool's lock, for who loads them may wait for that."""
    freed = [model.unload() for model in models]
    return any(freed)
