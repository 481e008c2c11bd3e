"""Values that depend on a noise level and on conditions alone: made once for all of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from nodes.sampling.conditioning.cond import CondBatch
from nodes.sampling.conditioning.run_memory import RunMemory


class LevelMaker(Protocol):
    """Makes the values of some conditions."""

    @property
    def level_nbytes(self) -> int:
        """The bytes of one level."""
        ...

    def make(self, levels: Sequence[float]) -> Tensor:
        """Return the values at some levels, [levels, …], each the same whatever the others are."""
        ...


@dataclass(slots=True, eq=False)
class _Values:
    """The values of one group of conditions."""

    cond: CondBatch
    """Held, so that no other has its identity."""
    nbytes: int = 0
    """Of all that is kept."""
    by_level: dict[float, Tensor] = field(default_factory=dict[float, Tensor])


class LevelTable:
    """Has values made for all levels of a run when the first of them comes.

    A level that nobody foresaw is added when it comes. If there is no room for all, those that
    come next are made, and the others when it is their turn.

    Args:
        levels: returns the noise levels that will come, in their order.
    """

    def __init__(self, levels: Callable[[], Sequence[float]] = tuple) -> None:
        self._foresee = levels
        self._values: dict[int, _Values] = {}
        """By the identity of a condition."""

    def find(self, cond: CondBatch, level: float, memory: RunMemory, maker: LevelMaker) -> Tensor:
        """Return the value at a level, made now if it is not there.

        Args:
            cond: told apart by identity.
            level: of a call.
            memory: of the run: has the room.
            maker: asked only if something has to be made.
        """
        found = self._values.setdefault(id(cond), _Values(cond))
        if level in found.by_level:
            return found.by_level[level]
        each = maker.level_nbytes
        if memory.room < each:
            memory.give_back(found.nbytes)
            found.by_level, found.nbytes = {}, 0
        levels = self._following(level, found)[: max(1, memory.room // each)]
        made = maker.make(levels)
        nbytes = each * len(levels)
        if nbytes <= memory.room:
            memory.take(nbytes)
            found.nbytes += nbytes
            found.by_level.update(zip(levels, made, strict=True))
        return made[0]

    def _following(self, level: float, found: _Values) -> list[float]:
        """Return a level, and the levels after it that are not made yet."""
        levels = list(self._foresee())
        after = levels[levels.index(level) :] if level in levels else []
        return [level, *(each for each in after if each != level and each not in found.by_level)]
