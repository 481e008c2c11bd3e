"""Where results wait between runs; a policy is any class with these methods."""

from dataclasses import dataclass
from typing import Protocol

from nodegraph.cache.entry import Entry


@dataclass(frozen=True, slots=True)
class Stats:
    """The state of a cache, and its counts since it was made."""

    entries: int = 0
    nbytes: int = 0
    """Bytes of what it holds."""
    limit: int = 0
    """Bytes that it may hold."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0


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

    @property
    def stats(self) -> Stats:
        """Nothing is held, and nothing is counted."""
        return Stats()
