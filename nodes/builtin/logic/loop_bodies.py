"""The nodes of a loop: which Start Loop an End Loop belongs to, and what lies between them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.traversal import sources_first
from nodes.builtin.logic.errors import LoopError

START, END = "StartLoop", "EndLoop"
_PARENT = "parent_iteration"

LookUp: TypeAlias = Callable[[NodeId], Node | None]
"""A function from an id to the node as it runs."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop of the graph."""

    start: Node
    end: Node
    body: Mapping[NodeId, Node]
    """The nodes that depend on the start and that the end depends on, sources first."""


class Loops:
    """Finds the loops of a graph.

    Args:
        look_up: finds its nodes.
    """

    def __init__(self, look_up: LookUp) -> None:
        self._look_up = look_up
        self._starts: dict[NodeId, NodeId] = {}

    def loop_of(self, end_id: NodeId) -> Loop:
        """Return the loop that an End Loop ends.

        Raises:
            LoopError: no Start Loop leads to it, or several do.
        """
        end, start = self._node(end_id), self._node(self._start_of(end_id))
        above = self._above(end.sources, {start.id})
        order, _ = sources_first(above, lambda each: [s for s in above[each].sources if s in above])
        body: dict[NodeId, Node] = {}
        for node_id in order:
            node = above[node_id]
            if any(source == start.id or source in body for source in node.sources):
                body[node_id] = node
        return Loop(start, end, body)

    def _start_of(self, end_id: NodeId) -> NodeId:
        """Return the Start Loop of an End Loop, past the loops that end before it."""
        if end_id not in self._starts:
            self._starts[end_id] = self._choose(end_id, self._open_starts(end_id))
        return self._starts[end_id]

    def _open_starts(self, end_id: NodeId) -> list[NodeId]:
        """Return the Start Loops above an End Loop that no other End Loop belongs to."""
        above = self._above(self._node(end_id).sources, set())
        ends = (node_id for node_id, node in above.items() if node.type_name == END)
        closed = {self._start_of(node_id) for node_id in ends}
        starts = (node_id for node_id, node in above.items() if node.type_name == START)
        return [node_id for node_id in starts if node_id not in closed]

    def _choose(self, end_id: NodeId, starts: Iterable[NodeId]) -> NodeId:
        """Return the innermost of the open starts.

        Nodes of one iteration share the beginning of their ids; a loop inside another is linked to
        its index.
        """
        shared = {start: _shared_parts(start, end_id) for start in starts}
        nearest = {start for start, length in shared.items() if length == max(shared.values())}
        for start in [*nearest]:
            parent = self._node(start).inputs.get(_PARENT)
            if isinstance(parent, Link):
                nearest.discard(parent.source)
        if len(nearest) == 1:
            return nearest.pop()
        if len(nearest) > 1:
            problem = "several loops begin above this node"
            hint = "Link the outer loop's iteration_index to the inner one's parent_iteration."
        else:
            problem = "no Start Loop leads to this node"
            hint = "Link a node between them to both: from Start Loop, and to End Loop."
        raise LoopError(problem, hint)

    def _above(self, start: Iterable[NodeId], until: set[NodeId]) -> dict[NodeId, Node]:
        """Return nodes and all that they depend on, but not those of `until` and above."""
        found: dict[NodeId, Node] = {}
        pending = list(start)
        while pending:
            node_id = pending.pop()
            if node_id not in found and node_id not in until:
                found[node_id] = self._node(node_id)
                pending.extend(found[node_id].sources)
        return found

    def _node(self, node_id: NodeId) -> Node:
        found = self._look_up(node_id)
        if found is None:
            problem = f"node {node_id!r} is not there"
            raise LoopError(problem, "Link to another one.")
        return found


def _shared_parts(a: NodeId, b: NodeId) -> int:
    """Return how many parts of two ids, divided by dots, are equal from the beginning."""
    pairs = zip(a.split("."), b.split("."), strict=False)
    return next((k for k, (one, other) in enumerate(pairs) if one != other), 0)
