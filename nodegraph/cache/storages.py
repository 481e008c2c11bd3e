"""The memory that results take in each place; what several of them look at counts once."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nodegraph.cache.survey import HOST, Storage, version_of


class _Twin(NamedTuple):
    """The other end of a copy between two places."""

    identity: object
    version: int | None
    """The writes to it when the copy was made."""


class Storages:
    """The storages of the results in a cache, each with the number of results that hold it."""

    def __init__(self) -> None:
        self._known: dict[object, Storage] = {}
        self._more_holders: dict[object, int] = {}
        """The number of results beside the first that hold a storage, if there are any."""
        self._twins: dict[object, _Twin] = {}
        self._nbytes: dict[str, int] = {HOST: 0}

    def nbytes(self, place: str) -> int:
        """Return the bytes in a place."""
        return self._nbytes.get(place, 0)

    @property
    def accelerators(self) -> list[str]:
        """The accelerators that results have ever been on."""
        return [place for place in self._nbytes if place != HOST]

    def add(self, storages: Iterable[Storage]) -> None:
        """Count the storages of one more result."""
        known, more, nbytes = self._known, self._more_holders, self._nbytes
        for storage in storages:
            identity = storage.identity
            if identity in known:
                more[identity] = more.get(identity, 0) + 1
            else:
                known[identity] = storage
                nbytes[storage.place] = nbytes.get(storage.place, 0) + storage.nbytes

    def remove(self, storages: Iterable[Storage]) -> None:
        """Take a result's storages back, as they were added."""
        for storage in storages:
            more = self._more_holders.pop(storage.identity, 0)
            if more > 1:
                self._more_holders[storage.identity] = more - 1
            if not more:
                self._forget(storage.identity)

    def pair(self, copies: Mapping[object, object]) -> None:
        """Note copies of storages, for the other results that hold the same storage.

        Args:
            copies: the identity of each copy, by that of what was copied.
        """
        for source, copy in copies.items():
            if source in self._known and copy in self._known:
                self._twins[source] = self._as_twin(copy)
                self._twins[copy] = self._as_twin(source)

    def twin(self, identity: object) -> Any | None:
        """Return a tensor on the copy of a storage; None if there is none, or it was written to."""
        found = self._twins.get(identity)
        storage = None if found is None else self._known.get(found.identity)
        if found is None or storage is None or version_of(storage.leaf) != found.version:
            return None
        return storage.leaf

    def clear(self) -> None:
        """Forget all storages."""
        self._known.clear()
        self._more_holders.clear()
        self._twins.clear()
        for place in self._nbytes:
            self._nbytes[place] = 0

    def _forget(self, identity: object) -> None:
        known = self._known.pop(identity)
        self._nbytes[known.place] -= known.nbytes
        twin = self._twins.pop(identity, None)
        if twin is not None:
            self._twins.pop(twin.identity, None)

    def _as_twin(self, identity: object) -> _Twin:
        return _Twin(identity, version_of(self._known[identity].leaf))
