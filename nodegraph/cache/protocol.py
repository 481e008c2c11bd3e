"""Where results wait between runs; a policy is any class with these methods."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nodegraph.cache.entry import Entry


@dataclass(frozen=True, slots=True)
class PlaceStats:
    """The results in one place: the host, an accelerator or the disk; counted as in `Stats`."""

    place: str
    """`host`, `disk`, or the name of an accelerator, such as `cuda:0`."""
    entries: int = 0
    nbytes: int = 0
    limit: int = 0
    hits: int = 0
    """Results that a run found here."""
    spills: int = 0
    """Results that moved down from here to make room: to the host, or to the disk."""
    spilled_bytes: int = 0
    returns: int = 0
    """Results that were copied back to here for a node that reads them."""
    evictions: int = 0
    """Results that were dropped here to make room."""


@dataclass(frozen=True, slots=True)
class Stats:
    """The state of a cache, and its counts since it was made."""

    entries: int = 0
    """Results in memory."""
    nbytes: int = 0
    """Bytes of the machine's memory that they take."""
    limit: int = 0
    """Bytes of it that they may take."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    """Results that were dropped from memory."""
    places: tuple[PlaceStats, ...] = ()
    """The same by place."""

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Stats":
        """Return what `dataclasses.asdict` made data of."""
        places: Iterable[Mapping[str, Any]] = data["places"]
        rest: dict[str, int] = {name: count for name, count in data.items() if name != "places"}
        return cls(**rest, places=tuple(PlaceStats(**each) for each in places))


class Cache(Protocol):
    """Results by content key; several threads may use it at once."""

    def get(self, key: str, *, counted: bool = True) -> Entry | None:
        """Return the result stored under `key`, unless somebody wrote to it since.

        Args:
            key: of a node.
            counted: whether this is the first time that a run looks for it.
        """
        ...

    def put(self, key: str, entry: Entry) -> None:
        """Store a result; the policy may drop anything at any time."""
        ...

    def drop(self, key: str) -> None:
        """Forget a result that is no longer right."""
        ...

    def clear(self) -> bool:
        """Forget everything that no run refers to; whether there was anything."""
        ...

    def hold(self, entry: Entry) -> None:
        """Note that a run needs a result until it releases it."""
        ...

    def release(self, entries: Iterable[Entry]) -> None:
        """Take back one `hold` of each."""
        ...

    def begin_reading(self, entries: Iterable[Entry]) -> None:
        """Bring results back to where they were computed; they stay there until `end_reading`."""
        ...

    def end_reading(self, entries: Iterable[Entry]) -> None:
        """Take back one `begin_reading` of each."""
        ...

    def expect(self, keys: Collection[str]) -> None:
        """Note the results that the next run will probably look for; they leave last."""
        ...

    def spill(self, nbytes: int, *, drops: bool = True) -> int:
        """Move results off the accelerators until so many bytes are free there.

        Args:
            nbytes: that are needed.
            drops: False to move only what the host has room for beside the other results.

        Returns:
            The bytes that became free.
        """
        ...

    @property
    def stats(self) -> Stats:
        """The state of the cache, and its counts so far."""
        ...


class NoCache:
    """Remember nothing."""

    def get(self, key: str, *, counted: bool = True) -> Entry | None:  # noqa: ARG002 - the protocol's signature
        """Miss."""
        return None

    def put(self, key: str, entry: Entry) -> None:
        """Forget."""

    def drop(self, key: str) -> None:
        """Nothing is there."""

    def clear(self) -> bool:
        """Nothing is there."""
        return False

    def hold(self, entry: Entry) -> None:
        """Nothing is moved."""

    def release(self, entries: Iterable[Entry]) -> None:
        """Nothing is moved."""

    def begin_reading(self, entries: Iterable[Entry]) -> None:
        """Everything is where it was computed."""

    def end_reading(self, entries: Iterable[Entry]) -> None:
        """Nothing is moved."""

    def expect(self, keys: Collection[str]) -> None:
        """Nothing is kept."""

    def spill(self, nbytes: int, *, drops: bool = True) -> int:  # noqa: ARG002 - the protocol's signature
        """Nothing is there."""
        return 0

    @property
    def stats(self) -> Stats:
        """Nothing is held, and nothing is counted."""
        return Stats()
