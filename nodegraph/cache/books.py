"""The books of a cache: its results, the memory that they take in each place, and what goes first.

Nothing here waits or copies; the cache's lock is held while it is called.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from nodegraph.cache.entry import Entry, Held
from nodegraph.cache.protocol import PlaceStats
from nodegraph.cache.ranking import Ranking
from nodegraph.cache.storages import Storages
from nodegraph.cache.survey import HOST

OVERHEAD = 1024
"""Bytes of the host's memory that an entry is taken to cost beside its values."""


@dataclass(slots=True)
class Place:
    """The results in one place, in the order in which they leave it, and its counts."""

    limit: int
    ranking: Ranking = field(default_factory=Ranking)
    entries: int = 0
    hits: int = 0
    spills: int = 0
    spilled_bytes: int = 0
    returns: int = 0
    evictions: int = 0

    def stats(self, name: str, nbytes: int) -> PlaceStats:
        """Return its state and its counts."""
        counts = (self.hits, self.spills, self.spilled_bytes, self.returns, self.evictions)
        return PlaceStats(name, self.entries, nbytes, self.limit, *counts)


class Books:
    """The results in memory.

    Args:
        limit: the bytes of the host's memory that they may take.
        device_limit: returns the bytes that they may take on an accelerator, given its name.
    """

    def __init__(self, limit: int, device_limit: Callable[[str], int]) -> None:
        self._device_limit = device_limit
        self.entries: dict[str, Entry] = {}
        """The results by key; `add` and `remove` change it."""
        self.storages = Storages()
        """The memory that they take."""
        self._host = Place(limit)
        self._places: dict[str, Place] = {HOST: self._host}
        self.expected: Collection[str] = frozenset()
        """The keys that the next run is expected to look for."""

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def accelerators(self) -> Collection[str]:
        """The accelerators that have had results."""
        return [name for name in self._places if name != HOST]

    def place(self, name: str) -> Place:
        """Return a place; made when it has its first result."""
        found = self._places.get(name)
        if found is None:
            found = self._places[name] = Place(self._device_limit(name))
        return found

    def nbytes(self, name: str) -> int:
        """Return the bytes that the results take in a place."""
        overhead = OVERHEAD * len(self.entries) if name == HOST else 0
        return self.storages.nbytes(name) + overhead

    def is_over(self, name: str) -> bool:
        """Return True if the results take more of a place than they may."""
        return self.nbytes(name) > self._places[name].limit

    def add(self, entry: Entry) -> None:
        """Add a result under its key."""
        self.entries[entry.key] = entry
        self.storages.add(entry.held.storages)
        for name in entry.held.accelerators:
            self.place(name).entries += 1
        self.rank(entry)

    def remove(self, entry: Entry) -> None:
        """Remove a result."""
        del self.entries[entry.key]
        self.storages.remove(entry.held.storages)
        self._host.ranking.discard(entry.key)
        for name in entry.held.accelerators:
            self._places[name].entries -= 1
            self._places[name].ranking.discard(entry.key)

    def move(self, entry: Entry, held: Held, copies: Mapping[object, object]) -> None:
        """Note that a result is elsewhere now, and let the result know.

        Args:
            entry: the result.
            held: the same values in their new place.
            copies: see `Storages.pair`.
        """
        self.remove(entry)
        entry.held = held
        self.add(entry)
        self.storages.pair(copies)

    def rank(self, entry: Entry) -> None:
        """Rank a result by its use now; on an accelerator only while no run holds it."""
        held, sizes = entry.held, entry.held.bytes_by_place
        self._host.ranking.put(entry.key, entry.seconds, sizes.get(HOST, 0) + OVERHEAD)
        for name in () if entry.holders else held.accelerators:
            self._places[name].ranking.put(entry.key, entry.seconds, sizes[name])

    def hold(self, entry: Entry) -> None:
        """Take a result out of the order in which results leave its accelerators."""
        for name in entry.held.accelerators:
            self._places[name].ranking.discard(entry.key)

    def pop(self, name: str, *, can_wait: bool = False) -> Entry | None:
        """Take the result of the least worth out of a place's order; None if there is none.

        Args:
            name: of the place.
            can_wait: True to leave those that the next run is expected to look for, while runs
                hold others, which leave after them; else they come after all that can leave now.
        """
        place, later = self._places[name], list[str]()
        some_are_held = len(place.ranking) < place.entries
        while (key := place.ranking.pop()) is not None and key in self.expected:
            later.append(key)
        if key is None and later and not (can_wait and some_are_held):
            key = later.pop(0)
        for each in later:
            self.rank(self.entries[each])
        return None if key is None else self.entries[key]

    def held_on(self, name: str) -> Entry | None:
        """Return the result of the least worth that runs hold there but no node reads now."""
        found = [
            (entry.seconds / nbytes, entry.key)
            for entry in self.entries.values()
            if entry.holders
            and not entry.readers
            and (nbytes := entry.held.bytes_by_place.get(name, 0))
        ]
        return self.entries[min(found)[1]] if found else None

    def clear(self) -> dict[str, Entry]:
        """Forget everything but the counts; return the results by key."""
        entries, self.entries = self.entries, {}
        self.storages.clear()
        for place in self._places.values():
            place.ranking.clear()
            place.entries = 0
        return entries

    def stats(self) -> list[PlaceStats]:
        """Return the state of each place, the host's first."""
        self._host.entries = len(self.entries)
        return [place.stats(name, self.nbytes(name)) for name, place in self._places.items()]
