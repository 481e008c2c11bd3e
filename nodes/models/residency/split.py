"""The choice which units of a network stay on the device, and which wait on the host."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from nodes.models.residency.units import Division, Unit

FINEST = 128
"""Units are no smaller than this fraction of the network, if that fits."""
Divide: TypeAlias = Callable[[int], Division]
"""A function from the bytes of the largest unit to the division of a network."""


@dataclass(frozen=True, slots=True)
class Split:
    """The weights of a network by their places."""

    resident: tuple[str, ...]
    """Weights that are on the device all the time."""
    looked_up: tuple[str, ...] = ()
    """Weights on the host whose rows are looked up there."""
    parked: tuple[Unit, ...] = ()
    """Units on the host that come to the device when they are called, in that order."""
    slots: int = 0
    """The number of buffers on the device that they come to."""
    held_bytes: int = field(kw_only=True)
    """Bytes that it takes on the device: resident weights and slots."""

    @property
    def slot_nbytes(self) -> int:
        """The bytes of one slot."""
        return max((unit.flat_nbytes for unit in self.parked), default=0)

    @property
    def streamed_bytes(self) -> int:
        """The bytes that move to the device when all of the network is called once."""
        return sum(unit.flat_nbytes for unit in self.parked)


def split(divide: Divide, sizes: Mapping[str, int], share: int) -> Split | None:
    """Return the split of a network that moves the fewest bytes; None if there is none.

    Units are as small as they need be so that two slots take little room; units that are larger
    stay. Those that are seldom called leave first, and come before the others. What is parked
    besides is spread evenly, so that one unit is copied while others compute; what stays with a
    smaller share also stays with a larger one, so that few units move in between.

    Args:
        divide: divides the network.
        sizes: the bytes of each weight.
        share: the bytes that the network may take on the device.
    """
    atoms, total = divide(0), sum(sizes.values())
    if total <= share:
        return Split(tuple(sizes), held_bytes=total)
    rest = total - _sum(sizes, atoms.tables)
    if rest <= share:
        stay = sizes.keys() - set(atoms.tables)
        return Split(_in_order(sizes, stay), atoms.tables, held_bytes=rest)
    fixed = _sum(sizes, atoms.fixed)
    found = _largest(atoms.units, max(total // FINEST, _widest(atoms.units)), share - fixed)
    if found is None:
        return None
    largest, slots = found
    division = divide(largest)
    choice = _Choice(division.units, slots, share - _sum(sizes, division.fixed))
    choice.keep_larger(largest)
    choice.fill(largest)
    gone = (unit for unit in division.units if unit.name not in choice.stays)
    parked = tuple(sorted(gone, key=lambda unit: not unit.is_seldom))
    away = {key for unit in parked for key in unit.keys} | set(division.tables)
    resident = _in_order(sizes, sizes.keys() - away)
    slots = min(slots, len(parked))
    widest = max((unit.flat_nbytes for unit in parked), default=0)
    held = _sum(sizes, resident) + slots * widest
    return Split(resident, division.tables, parked, slots, held_bytes=held)


def park(
    divide: Divide, sizes: Mapping[str, int], share: int = 0, there: Collection[str] = ()
) -> Split:
    """Return the split of a network that does not compute: nothing comes, and there are no slots.

    Args:
        divide: divides the network.
        sizes: the bytes of each weight.
        share: the bytes that the network may take on the device.
        there: the weights that are on the device: others do not come for this.
    """
    division = divide(sum(sizes.values()) // FINEST)
    here, room = set(there), share - _sum(sizes, division.fixed)
    if room < 0 or not here.issuperset(division.fixed):
        here, room = set[str](), 0
    choice = _Choice([unit for unit in division.units if here.issuperset(unit.keys)], 0, room)
    choice.fill(0)
    parked = tuple(unit for unit in division.units if unit.name not in choice.stays)
    fixed = division.fixed if here else ()
    away = {key for unit in parked for key in unit.keys} | set(division.tables)
    resident = _in_order(sizes, sizes.keys() - away if here else ())
    looked_up = _in_order(sizes, {*division.tables, *division.fixed} - {*fixed})
    return Split(resident, looked_up, parked, held_bytes=_sum(sizes, resident))


def least_share(divide: Divide, sizes: Mapping[str, int]) -> int:
    """Return the fewest bytes on the device that a network can compute with."""
    atoms = divide(0)
    candidates = {unit.flat_nbytes for unit in atoms.units} or {0}
    least = min(_kept_bytes(atoms.units, largest) + largest for largest in candidates)
    return min(sum(sizes.values()), _sum(sizes, atoms.fixed) + least)


def steady_share(divide: Divide, sizes: Mapping[str, int]) -> int:
    """Return the bytes on the device with which a network streams only what is seldom called."""
    units = divide(0).units
    seldom = {key for unit in units if unit.is_seldom for key in unit.keys}
    widest = _widest(units)
    return min(sum(sizes.values()), _sum(sizes, sizes.keys() - seldom) + widest)


def _widest(units: Sequence[Unit]) -> int:
    """Return the bytes of the largest unit that is seldom called; 0 if there is none."""
    return max((unit.flat_nbytes for unit in units if unit.is_seldom), default=0)


def _largest(atoms: Sequence[Unit], finest: int, room: int) -> tuple[int, int] | None:
    """Return the bytes of the largest unit that is parked, and the number of slots."""
    often = sum(unit.nbytes for unit in atoms if not unit.is_seldom)
    widest = _widest(atoms)
    if widest and often + widest <= room < often + 2 * finest:
        return widest, 1  # nothing is streamed that is called often
    distinct = sorted({unit.flat_nbytes for unit in atoms} | {finest})
    ordered = [n for n in distinct if n >= finest] + [n for n in reversed(distinct) if n < finest]
    for slots in (2, 1):
        for largest in ordered:
            if _kept_bytes(atoms, largest) + slots * largest <= room:
                return largest, slots
    return None


def _kept_bytes(atoms: Sequence[Unit], largest: int) -> int:
    """Return the bytes of the units that are too large for a slot."""
    return sum(unit.nbytes for unit in atoms if unit.flat_nbytes > largest)


class _Choice:
    """Fills the room on the device with units."""

    def __init__(self, units: Sequence[Unit], slots: int, room: int) -> None:
        self._slots = slots
        self._room = room
        self._parked = {unit.name: unit for unit in units}
        self._used = 0
        self.stays: set[str] = set()

    def keep_larger(self, largest: int) -> None:
        """Keep the units that are too large for a slot."""
        for unit in list(self._parked.values()):
            if unit.flat_nbytes > largest:
                self._keep(unit)

    def fill(self, largest: int) -> None:
        """Keep units as long as there is room, beside slots that are no larger than that."""
        self._spread(largest)
        while (unit := self._next()) is not None:
            self._keep(unit)

    def _keep(self, unit: Unit) -> None:
        self.stays.add(unit.name)
        self._used += unit.nbytes
        del self._parked[unit.name]

    def _spread(self, largest: int) -> None:
        """Keep units all over the network, those of a smaller room among those of a larger one."""
        often = [unit for unit in self._parked.values() if not unit.is_seldom]
        room = self._room - self._slots * largest
        for number in _spread_order(len(often)):
            if self._used + often[number].nbytes <= room:
                self._keep(often[number])

    def _next(self) -> Unit | None:
        """Return the largest unit that still fits, beside the slots for the others."""
        ordered = sorted(self._parked.values(), key=lambda unit: -unit.flat_nbytes)
        fits: list[Unit] = []
        for unit in ordered:
            others = [other for other in ordered[:2] if other is not unit]
            slots = min(self._slots, len(ordered) - 1)
            widest = others[0].flat_nbytes if others else 0
            if self._used + unit.nbytes + slots * widest <= self._room:
                fits.append(unit)
        return min(fits, key=lambda unit: unit.is_seldom, default=None)


def _spread_order(count: int) -> list[int]:
    """Return numbers below a count, any first few of them evenly apart, from the last one on.

    That is van der Corput's sequence: the bits of each number's place, read backwards.
    """
    bits = max(count - 1, 0).bit_length()

    def backwards(number: int) -> int:
        place = number * (1 << bits) // count
        return int(f"{place:0{bits}b}"[::-1], 2)

    return [count - 1 - number for number in sorted(range(count), key=backwards)]


def _in_order(sizes: Mapping[str, int], keys: Collection[str]) -> tuple[str, ...]:
    return tuple(key for key in sizes if key in keys)


def _sum(sizes: Mapping[str, int], keys: Collection[str]) -> int:
    return sum(sizes[key] for key in keys)
