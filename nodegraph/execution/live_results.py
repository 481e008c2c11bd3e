"""The results that a run still needs, and the reading of them for a node."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from nodegraph.cache.entry import Entry
from nodegraph.cache.protocol import Cache
from nodegraph.graph.graph import NodeId


class LiveResults:
    """Results by node; the cache does not drop them, and moves them only where memory is short.

    Args:
        cache: has them, or had them.
    """

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._entries: dict[NodeId, Entry] = {}
        self._at_rest = nullcontext(self._entries)

    def __contains__(self, node_id: NodeId) -> bool:
        return node_id in self._entries

    def __getitem__(self, node_id: NodeId) -> Entry:
        return self._entries[node_id]

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._entries)

    def get(self, node_id: NodeId) -> Entry | None:
        """Return a node's result, if the run has it."""
        return self._entries.get(node_id)

    def hold(self, node_id: NodeId, entry: Entry) -> None:
        """Add a node's result."""
        before = self._entries.get(node_id)
        if before is not entry:
            if entry.held.is_movable:
                self._cache.hold(entry)
            self._entries[node_id] = entry
            if before is not None:
                self._cache.release([before])

    def release(self, node_ids: Iterable[NodeId]) -> None:
        """Let go of results that the run does not need any more."""
        popped = [self._entries.pop(each, None) for each in node_ids]
        movable = [entry for entry in popped if entry is not None and entry.held.is_movable]
        if movable:
            self._cache.release(movable)

    def excuse(self, node_id: NodeId) -> None:
        """Keep a result that somebody wrote to for this run alone, without looking at it again."""
        entry = self._entries[node_id]
        self.hold(node_id, replace(entry, held=entry.held._replace(versions=())))

    def clear(self) -> None:
        """Let go of all."""
        self.release(list(self._entries))

    def reading(self, node_ids: Iterable[NodeId]) -> AbstractContextManager[Mapping[NodeId, Entry]]:
        """Return a block in which results are where they were computed, for a node to read.

        Args:
            node_ids: the nodes that they are of; those without a result are left out.
        """
        found = [self._entries.get(each) for each in node_ids]
        read = [entry for entry in found if entry is not None and entry.held.is_movable]
        return self._reading(read) if read else self._at_rest

    @contextmanager
    def _reading(self, read: Sequence[Entry]) -> Generator[Mapping[NodeId, Entry]]:
        self._cache.begin_reading(read)
        try:
            yield self._entries
        finally:
            self._cache.end_reading(read)
