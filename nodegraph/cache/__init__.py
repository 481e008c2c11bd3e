"""Where results wait between runs; a policy is any class with these methods."""

from typing import Protocol

from nodegraph.cache.entry import Entry


class Cache(Protocol):
    """Results by content key; several threads may use it at once."""

    def get(self, key: str) -> Entry | None:
        """The result stored under `key`, unless somebody wrote to it since."""
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


class NoCache:
    """Remember nothing."""

    def get(self, key: str) -> Entry | None:  # noqa: ARG002 - the protocol's signature
        """Miss."""
        return None

    def put(self, key: str, entry: Entry) -> None:
        """Forget."""

    def drop(self, key: str) -> None:
        """Nothing is there."""

    def clear(self) -> bool:
        """Nothing is there."""
        return False
