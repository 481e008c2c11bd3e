"""Decide what runs next and what may be freed; the executor obeys."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set

from nodegraph.graph.graph import NodeId
from nodegraph.graph.traversal import Sources, sources_first


class Plan:
    """An agenda that is extended when lazy inputs or expansions need more.

    It is made from the targets backwards and stops at what is at hand, so that the ancestors
    of a cached result are neither run nor looked at.

    Args:
        reads: every node that a node may read, its lazy inputs' too: a result stays until all
            of its planned readers are done.
        needs: those of them that have to be there before it is called.
        at_hand: says if a node's result is cached; called once for each planning.
    """

    def __init__(self, reads: Sources, needs: Sources, at_hand: Callable[[NodeId], bool]) -> None:
        self._reads = reads
        self._needs = needs
        self._at_hand = at_hand
        self._agenda: list[NodeId] = []
        self._pending: set[NodeId] = set()
        self._readers: dict[NodeId, int] = {}
        self._held: dict[NodeId, list[NodeId]] = {}
        self._awaited: Counter[NodeId] = Counter()
        """The nodes that others were put off for, and are not done with."""
        self._kept: set[NodeId] = set()
        self.planned: list[NodeId] = []
        """All nodes in the order in which they were planned; one that runs twice is there twice."""

    def require(self, targets: Iterable[NodeId]) -> None:
        """Plan all that `targets` still need; their results are kept to the end."""
        wanted = list(targets)
        self._kept.update(wanted)
        self._extend(wanted)

    def put_off(self, node_id: NodeId, until: Sequence[NodeId]) -> None:
        """Run `until` and what they lack first, and hold their results for `node_id`."""
        for source in until:
            self._readers[source] = self._readers.get(source, 0) + 1
        self._awaited.update(until)
        self._held.setdefault(node_id, []).extend(until)
        self._agenda.append(node_id)
        self._extend(until)

    def __iter__(self) -> Iterator[NodeId]:
        """The nodes to run, each when its turn comes; one that was put off comes again."""
        while self._agenda:
            node_id = self._agenda.pop()
            if node_id in self._pending:
                yield node_id

    def finish(self, node_id: NodeId) -> list[NodeId]:
        """Note that a node is done; returns those whose results nobody needs any more."""
        self._pending.discard(node_id)
        readers, kept = self._readers, self._kept
        sources = self._reads(node_id)
        if node_id in self._held:
            awaited = self._held.pop(node_id)
            self._awaited.subtract(awaited)
            sources = (*sources, *awaited)
        freed: list[NodeId] = []
        for source in sources:
            left = readers[source] = readers[source] - 1
            if not left and source not in kept:
                freed.append(source)
        if not readers.get(node_id) and node_id not in kept:
            freed.append(node_id)
        return freed

    @property
    def pending(self) -> Set[NodeId]:
        """The planned nodes that are not done."""
        return self._pending

    def needs_whole(self, node_id: NodeId) -> bool:
        """Return True if all outputs of a node are kept: it is a target, or others wait for it."""
        return node_id in self._kept or self._awaited[node_id] > 0

    def upcoming(self) -> list[NodeId]:
        """Return the nodes still to run, the next one first."""
        return list(dict.fromkeys(n for n in reversed(self._agenda) if n in self._pending))

    def last_first(self) -> Iterator[NodeId]:
        """Yield the nodes still to run, the last one first; one that was put off may come twice."""
        return (node_id for node_id in self._agenda if node_id in self._pending)

    def _extend(self, wanted: Sequence[NodeId]) -> None:
        """Put the wanted nodes, and all that they need, at the head of the agenda."""
        ready: set[NodeId] = set()

        def lacks(node_id: NodeId) -> Sequence[NodeId]:
            if self._at_hand(node_id):
                ready.add(node_id)
                return ()
            return self._needs(node_id)

        order, _ = sources_first(wanted, lacks)
        pending, readers = self._pending, self._readers
        fresh = [node_id for node_id in order if node_id not in ready]
        for node_id in fresh:
            if node_id not in pending:
                pending.add(node_id)
                self.planned.append(node_id)
                for source in self._reads(node_id):
                    readers[source] = readers.get(source, 0) + 1
        self._agenda.extend(reversed(fresh))
