"""The share of an accelerator's memory that each model's weights get, by when it is used next."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from nodegraph.runtime.pooled_model import PooledModel

UNLIMITED: Final = 1 << 62
"""The bytes that a model may take if all of it fits."""
NOW: Final = -1.0
"""The distance of the next use of a model that computes now, again and again."""
CLAIMED: Final = 1e6
"""The distance for a model that a run still needs, nobody knows when."""
UNCLAIMED: Final = 1e9
"""The least distance for a model that nobody is known to need."""


class Demand(NamedTuple):
    """A model that computes now or has weights on the accelerator."""

    nbytes: int
    """Bytes of its weights."""
    held: int
    """Those on the accelerator now."""
    least: int
    """Those that it can not do without while it computes; `nbytes` if it can not be split."""
    next_use: float
    """The distance of its next use after this one; `NOW` if its weights are read many times now."""
    in_use: bool = False


def least_room(demands: Iterable[Demand]) -> int:
    """Return the bytes that the models in use can not do without."""
    return sum(demand.least for demand in demands if demand.in_use)


def share_room(room: int, demands: Sequence[Demand]) -> list[int]:
    """Return the bytes of the accelerator that each model's weights get.

    Belady's rule for bytes: those that are used soonest stay. A model in use gets at least what it
    can not do without. More of it is loaded only in place of bytes that are used later, for bytes
    that are read once may as well pass through; those of a model that is read many times (`NOW`)
    come before all others. A model that is not in use never grows.

    Args:
        room: bytes for all weights together, at least `least_room` of the demands.
        demands: the models.
    """
    shares = [demand.least if demand.in_use else 0 for demand in demands]
    left = room - sum(shares)
    for number in sorted(range(len(demands)), key=lambda k: _rank(demands[k])):
        demand = demands[number]
        wanted = max(demand.nbytes, demand.held) - demand.least if demand.in_use else demand.held
        given = max(0, min(wanted, left))
        if given < wanted and not demand.in_use and demand.least >= demand.nbytes:
            continue  # it can not be split: a part of it is of no use
        shares[number] += given
        left -= given
    return shares


def _rank(demand: Demand) -> tuple[float, bool]:
    """The order in which models get room: the one in use first if both are used at once."""
    return (demand.next_use, not demand.in_use)


class UseHistory:
    """The past uses of one model, from which the next one is guessed.

    Workflows come again: a model that was used every ten uses of any model will be after ten more.
    One that was used once is taken to be as far in the future as it is in the past, as the least
    recently used are let go of first.
    """

    __slots__ = ("_interval", "_last", "cost")

    def __init__(self) -> None:
        self._last = 0
        self._interval = 0
        self.cost = 1.0
        """The seconds to load a billion bytes of its weights again."""

    def note(self, clock: int) -> None:
        """Note a use; `clock` counts the uses of all models."""
        if self._last and clock > self._last:
            self._interval = clock - self._last
        self._last = clock

    def next_use(self, clock: int) -> float:
        """Return the guessed distance of the next use; larger for what is loaded sooner."""
        overdue = clock - self._last - self._interval
        return UNCLAIMED + max(abs(overdue), 1) / self.cost


class ModelUse(NamedTuple):
    """Models that compute together, and what they need beside their weights."""

    models: tuple[PooledModel, ...]
    activations: int = 0
    """Bytes of the accelerator that one call takes at its peak, beside the weights."""
    repeats: bool = True
    """True if the models are called again and again; False if their weights are read once."""


class DeviceMemory(Protocol):
    """The accelerator's memory, as far as this process may use it."""

    def free(self, weights: int) -> int:
        """Return the bytes that can still be taken, beside those of weights that are there."""
        ...

    def may_park(self, nbytes: int) -> bool:
        """Return True if so many bytes of weights that nobody computes with may be on the host."""
        ...


class FixedBudget:
    """A number of bytes for weights and activations, whatever else is on the device.

    Args:
        nbytes: all of it, or a function that returns it.
    """

    def __init__(self, nbytes: int | Callable[[], int]) -> None:
        self._nbytes = nbytes

    def free(self, weights: int) -> int:
        """Return the bytes that can still be taken."""
        if not isinstance(self._nbytes, int):
            self._nbytes = self._nbytes()
        return self._nbytes - weights

    def may_park(self, nbytes: int) -> bool:
        """Return True: the host is large enough."""
        return nbytes >= 0


NextUse: TypeAlias = Callable[[PooledModel], float | None]
"""A function that returns the distance of a model's next use; None if nobody knows one."""


class Residency:
    """Decides how much of each model is on the accelerator; keeps no weights itself.

    Args:
        memory: the accelerator's.
    """

    def __init__(self, memory: DeviceMemory) -> None:
        self.memory = memory
        self._clock = 0
        self._histories: WeakKeyDictionary[PooledModel, UseHistory] = WeakKeyDictionary()

    def note_load(self, model: PooledModel, seconds: float) -> None:
        """Note the time that loading a model's weights took."""
        self._history(model).cost = max(seconds, 1e-6) / max(model.nbytes(), 1) * 1e9

    def plan(
        self,
        use: ModelUse,
        others: Collection[PooledModel],
        next_use: NextUse,
        stay: Collection[int] = (),
    ) -> list[tuple[PooledModel, int]]:
        """Return the models whose share of the accelerator changes for a use, and the new shares.

        Those that give something up come first.

        Args:
            use: the use, which becomes a part of the models' history.
            others: models with weights on the accelerator that are not in the use.
            next_use: says when models are used after this.
            stay: the others that keep what they have, by identity.
        """
        self._clock += 1
        for model in use.models:
            self._history(model).note(self._clock)
        models = [*use.models, *others]
        held = sum(model.held_bytes for model in models)
        free = self.memory.free(held) - use.activations
        if sum(max(model.nbytes() - model.held_bytes, 0) for model in use.models) <= free:
            return [(model, UNLIMITED) for model in use.models]
        demands = [self._demand(model, use, next_use, stay) for model in models]
        shares = share_room(max(free + held, least_room(demands)), demands)
        sized = list(zip(models, demands, shares, strict=True))
        return [
            *((model, share) for model, d, share in sized if not d.in_use and share < d.held),
            *((model, _share_or_all(d, share)) for model, d, share in sized if d.in_use),
        ]

    def _demand(
        self, model: PooledModel, use: ModelUse, next_use: NextUse, stay: Collection[int]
    ) -> Demand:
        in_use = any(each is model for each in use.models)
        distance = next_use(model)
        if distance is None:
            distance = self._history(model).next_use(self._clock)
        if (in_use and use.repeats) or id(model) in stay:
            distance = NOW
        return Demand(model.nbytes(), model.held_bytes, model.least_bytes, distance, in_use)

    def _history(self, model: PooledModel) -> UseHistory:
        found = self._histories.get(model)
        if found is None:
            found = self._histories[model] = UseHistory()
        return found


def _share_or_all(demand: Demand, share: int) -> int:
    return UNLIMITED if share >= max(demand.nbytes, demand.held) else share
