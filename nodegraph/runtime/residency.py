"""The share of an accelerator's memory that each model's weights get, by when it is used next."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias
from weakref import WeakKeyDictionary

from nodegraph.runtime.pooled_model import PooledModel

UNLIMITED: Final = 1 << 62
"""The bytes that a model may take if all of it fits."""
NOW: Final = -1.0
"""The distance of the next use of a model that a node calls again and again until it is done."""
QUEUED: Final = 1e4
"""The least distance for a model that a run uses which has not begun."""
CLAIMED: Final = 1e6
"""The distance for a model that a run still needs, nobody knows when."""
UNKNOWN: Final = 1e9
"""The least distance for a model that nobody is known to need."""
_WORTH_A_MOVE: Final = 32
"""In the middle of a node a model gets more of the device only if it is this fraction of it."""


class ModelUse(NamedTuple):
    """Models that compute together, and what they need beside their weights."""

    models: tuple[PooledModel, ...]
    activations: int | None = None
    """The most bytes of the accelerator that a call takes beside the weights; None: unknown."""
    repeats: bool = True
    """True if they are called again and again; False if their weights are read once."""
    ahead: bool = False
    """True if weights that are read seldom are read once all the same, before the others."""

    @classmethod
    def of(
        cls, models: tuple[PooledModel, ...], computed: int | None, *, repeats: bool = True
    ) -> "ModelUse":
        """Return the use of models whose calls unpack quantized weights one after the other.

        Args:
            models: the models.
            computed: the most bytes of what is computed; None: unknown.
            repeats: see `ModelUse`.
        """
        if computed is not None:
            computed += max((model.unpacked_bytes for model in models), default=0)
        return cls(models, computed, repeats)


class DeviceMemory(Protocol):
    """The accelerator's memory, as far as this process may use it."""

    @property
    def limit(self) -> int:
        """The bytes that weights may take if nothing else is on the device."""
        ...

    def room(self, held: int, activations: int | None) -> int:
        """Return the bytes that weights may take now, all together.

        Args:
            held: those that they take now.
            activations: bytes that are needed beside them; None: unknown.
        """
        ...

    def spare(self, held: int) -> int:
        """Return the bytes that a call may take in place of all weights.

        Args:
            held: the bytes that weights take now.
        """
        ...

    def may_park(self, nbytes: int) -> bool:
        """Return True if so many bytes of weights may wait in the machine's memory."""
        ...


class FixedBudget:
    """A number of bytes for weights, whatever else is on the device.

    Args:
        nbytes: all of it, or a function that returns it.
    """

    def __init__(self, nbytes: int | Callable[[], int]) -> None:
        self._nbytes = nbytes

    @property
    def limit(self) -> int:
        """The budget."""
        if not isinstance(self._nbytes, int):
            self._nbytes = self._nbytes()
        return self._nbytes

    def room(self, held: int, activations: int | None) -> int:
        """Return the budget."""
        del held, activations
        return self.limit

    def spare(self, held: int) -> int:
        """Return more than there can be: only weights are limited."""
        del held
        return UNLIMITED

    def may_park(self, nbytes: int) -> bool:
        """Return True: the host is large enough."""
        return nbytes >= 0


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
    once: int = 0
    """Those of its bytes that are read once now, though the others are read many times."""
    once_next: float = UNKNOWN
    """The distance of their next use."""

    @property
    def wishes(self) -> tuple[tuple[float, int], ...]:
        """The bytes beyond the least that it could use, each with the distance of their use."""
        if not self.in_use:
            return ((self.next_use, self.held),)
        all_of_it = max(self.nbytes, self.held) - self.least
        once = min(self.once, max(all_of_it, 0))
        return (self.next_use, all_of_it - once), (self.once_next, once)


def share_room(room: int, demands: Sequence[Demand]) -> list[int]:
    """Return the bytes of the accelerator that each model's weights get.

    Belady's rule for bytes: those that are used soonest stay (L. A. Belady, A study of replacement
    algorithms for a virtual-storage computer, 1966). A model in use gets at least what it can not
    do without. More of it is loaded only in place of bytes that are used later, for bytes that are
    read once may as well pass through; those of a model that is read many times (`NOW`) come
    before all others, but for what it reads once. A model that is not in use never grows.

    Args:
        room: bytes for all weights together.
        demands: the models, those in use first.
    """
    shares = [demand.least if demand.in_use else 0 for demand in demands]
    left = room - sum(shares)
    wishes = [
        (distance, not demand.in_use, number, wanted)  # those in use first if two are used at once
        for number, demand in enumerate(demands)
        for distance, wanted in demand.wishes
    ]
    for *_, number, wanted in sorted(wishes):
        demand = demands[number]
        given = max(0, min(wanted, left))
        if given < wanted and not demand.in_use and demand.least >= demand.nbytes:
            continue  # it can not be split: a part of it is of no use
        shares[number] += given
        left -= given
    return shares


class UseHistory:
    """The past uses of one model, from which the next one is guessed.

    Workflows come again: a model that was used every ten uses of any model will be after ten more.
    One that was used once is taken to be as far in the future as it is in the past, as the least
    recently used are let go of first.
    """

    __slots__ = ("_interval", "_last")

    def __init__(self) -> None:
        self._last = 0
        self._interval = 0

    def note(self, clock: int) -> None:
        """Note a use; `clock` counts the uses of all models."""
        if self._last and clock > self._last:
            self._interval = clock - self._last
        self._last = clock

    def next_use(self, clock: int) -> float:
        """Return the guessed distance of the next use."""
        return UNKNOWN + max(abs(clock - self._last - self._interval), 1)


NextUse: TypeAlias = Callable[[PooledModel, bool], float | None]
"""A function that returns the distance of a model's next use; None if nobody knows one.

It is given True to skip the nodes that are at the model now.
"""
Change: TypeAlias = tuple[PooledModel, int]
"""A model, and the bytes of the accelerator that it may take from now on."""


class Residency:
    """Decides how much of each model is on the accelerator; keeps no weights itself.

    Args:
        memory: the accelerator's.
    """

    def __init__(self, memory: DeviceMemory) -> None:
        self.memory = memory
        self._clock = 0
        self._histories: WeakKeyDictionary[PooledModel, UseHistory] = WeakKeyDictionary()
        self._shortages: WeakKeyDictionary[PooledModel, tuple[int, int]] = WeakKeyDictionary()
        """By model, the activations of a call that found too little memory, and the room then."""

    def note_shortage(self, use: ModelUse, room: int) -> None:
        """Note that a use, and any that takes as much beside weights, has no more than a room."""
        for model in use.models:
            self._shortages[model] = use.activations or 0, room

    def note_use(self, model: PooledModel) -> None:
        """Note that a node begins to use a model."""
        self._clock += 1
        self._histories.setdefault(model, UseHistory()).note(self._clock)

    def shortage(self, use: ModelUse, others: Collection[PooledModel]) -> int:
        """Return the bytes of the device that weights could use and that something else takes.

        Args:
            use: see `plan`.
            others: likewise.
        """
        held = sum(model.held_bytes for model in (*use.models, *others))
        wanted = min(held + _missing(use), self.memory.limit)
        return max(wanted - self.memory.room(held, _beside(use)), 0)

    def plan(
        self,
        use: ModelUse,
        others: Collection[PooledModel],
        next_use: NextUse,
        *,
        begins: bool = True,
    ) -> list[Change]:
        """Return the models whose share of the accelerator changes for a use, and the new shares.

        Those that give something up come first.

        Args:
            use: the use.
            others: models with weights on the accelerator that are not in the use.
            next_use: says when models are used after this; `NOW` for those that a node is at.
            begins: a node begins to use them.
        """
        models = [*use.models, *others]
        held = sum(model.held_bytes for model in models)
        room = min([self.memory.room(held, _beside(use)), *self._known_rooms(use)])
        if held + _missing(use) <= room:
            return [(model, UNLIMITED) for model in use.models]
        demands = [self._demand(model, use, next_use) for model in models]
        shares = share_room(room, demands)
        sized = list(zip(models, demands, shares, strict=True))
        return [
            *((model, share) for model, d, share in sized if not d.in_use and share < d.held),
            *((model, self._limit_of(d, share, begins)) for model, d, share in sized if d.in_use),
        ]

    def _limit_of(self, demand: Demand, share: int, begins: bool) -> int:
        """Return the limit of a model in use: no more than all there is, and no small moves."""
        if share >= max(demand.nbytes, demand.held):
            return UNLIMITED
        grows = share - demand.held
        is_small = 0 < grows < demand.nbytes // _WORTH_A_MOVE
        if is_small and not begins and demand.held >= demand.least:
            return demand.held
        return min(share, self.memory.limit)

    def _known_rooms(self, use: ModelUse) -> list[int]:
        """Return the room that weights had when uses like this one found too little memory."""
        found = [self._shortages[model] for model in use.models if model in self._shortages]
        beside = use.activations
        return [room for least, room in found if beside is None or beside >= least]

    def _demand(self, model: PooledModel, use: ModelUse, next_use: NextUse) -> Demand:
        def distance(*, later: bool) -> float:
            known = next_use(model, later)
            if known is not None:
                return known
            return self._histories.setdefault(model, UseHistory()).next_use(self._clock)

        sizes = model.nbytes(), model.held_bytes, model.least_bytes
        if not any(each is model for each in use.models):
            return Demand(*sizes, distance(later=False))
        if not use.repeats:
            return Demand(*sizes, distance(later=False), in_use=True)
        once = max(model.nbytes() - model.steady_bytes, 0) if use.ahead else 0
        return Demand(*sizes, NOW, True, once, distance(later=True) if once else UNKNOWN)


def _beside(use: ModelUse) -> int | None:
    """Return the bytes that a use takes beside weights, while they are loaded too."""
    if use.activations is None:
        return None
    return max([use.activations, *(model.loading_bytes for model in use.models)])


def _missing(use: ModelUse) -> int:
    """Return the bytes of the models of a use that are not on the device."""
    return sum(max(model.nbytes() - model.held_bytes, 0) for model in use.models)
