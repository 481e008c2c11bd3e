"""The models that one run uses, and what it claims of their weights."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from weakref import WeakSet

from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.residency import ModelUse
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
        self.foresee: Callable[[], Mapping[int, float]] = dict
        """Returns the distances of the next uses of models by the plan of the run, in nodes."""
        self.repeating: frozenset[int] = frozenset()
        """The models that the present node calls again and again, by identity."""
        self.next_uses: Mapping[int, float] = {}
        """The distances as they were when the present node began to use models."""
        self._pool = pool
        self._listener = listener
        self._computing: frozenset[int] = frozenset()
        """The models that the present node has used, by identity."""
        self._joined = ModelUse((), 0)
        """The models that the present node calls again and again, as if all computed together."""
        self._use: ModelUse | None = None
        """The last use of the present node that room was made for."""
        self._epoch = 0
        """The state of the pool after that."""
        self._heard: WeakSet[PooledModel] = WeakSet()
        self._held: Counter[int] = Counter()
        self._claimed: dict[int, PooledModel] = {}
        pool.join(self)

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

    def plan(self, use: ModelUse) -> None:
        """Make room on the accelerator for models that are about to compute there.

        It costs next to nothing if the same was done before, and nothing has moved since. To be
        called before each call of the models, by who has the device's lane.
        """
        use = use._replace(models=tuple(model for model in use.models if model.on_accelerator))
        if not use.models or not self._pool.plans:
            return
        if use.repeats:
            use = self._join(use)
        if self._use == use and self._epoch == self._pool.epoch:
            return
        if not self._computing:
            self.next_uses = self.foresee()
        for model in use.models:
            self._claim(model)
        keys = frozenset(map(id, use.models))
        begins, self._computing = not keys <= self._computing, self._computing | keys
        self._pool.plan(use, begins=begins)
        self._use, self._epoch = use, self._pool.epoch

    def leave_node(self) -> None:
        """Note that the present node is done with its models."""
        if self._computing or self.repeating:
            self.repeating = self._computing = frozenset()
            self._joined = ModelUse((), 0)
            self._use = None

    def shrink(self) -> bool:
        """Leave more of the accelerator to what the present node computes beside weights.

        Returns:
            False if its models have no weights there that could be streamed instead.
        """
        if self._use is None:
            return False
        from nodegraph.runtime.device_lane import device_lane  # torch, which they have loaded
        from nodegraph.runtime.devices import default_device

        with device_lane(default_device()):
            return self._pool.shrink(self._use)

    def make_room(self, model: PooledModel) -> None:
        """Prepare for the loading of a model's weights."""
        self._claim(model)
        if not (model.on_accelerator and self._pool.plans):
            self._pool.make_room(model)
        elif id(model) not in self._computing:
            self.plan(ModelUse((model,), repeats=False))

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
        self.leave_node()
        self.foresee, self.next_uses = dict, {}
        self._held.clear()
        while self._claimed:
            self._pool.release(self._claimed.popitem()[1])

    def _join(self, use: ModelUse) -> ModelUse:
        """Return a use of all models that the present node calls again and again.

        They take turns, so that each keeps its share: in the order in which they came.
        """
        before = self._joined
        more = tuple(model for model in use.models if id(model) not in self.repeating)
        known = use.activations is not None and before.activations is not None
        beside = max(use.activations or 0, before.activations or 0) if known else None
        ahead = use.ahead and (before.ahead or not before.models)
        self._joined = ModelUse((*before.models, *more), beside, ahead=ahead)
        self.repeating |= {id(model) for model in more}
        return self._joined

    def _claim(self, model: PooledModel) -> None:
        if id(model) not in self._claimed:
            self._claimed[id(model)] = model
            self._pool.claim(model)
