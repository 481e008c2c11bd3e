"""Walk a graph without recursion: who is needed, in which order, and where it loops."""

from collections.abc import Callable, Iterable, Sequence

from nodegraph.graph.graph import NodeId

Sources = Callable[[NodeId], Sequence[NodeId]]


def sources_first(
    targets: Iterable[NodeId], sources: Sources
) -> tuple[list[NodeId], list[list[NodeId]]]:
    """The targets and all that they need, each after its sources; and the loops on the way.

    A node is in one of the loops at most, so that their total length is that of the graph;
    with loops there is no right order, but every node is there once.

    Returns:
        The order, and the loops in the direction of the data, each as the ids on it.
    """
    walk = _Walk(sources)
    for target in targets:
        walk.visit(target)
    return list(walk.done), walk.loops


class _Walk:
    """One depth-first search: `path` is where it stands, `done` what it has left."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self.done: dict[NodeId, None] = {}
        self.path: dict[NodeId, None] = {}
        self.loops: list[list[NodeId]] = []
        self.looping: set[NodeId] = set()

    def visit(self, target: NodeId) -> None:
        stack = [target]
        while stack:
            node_id = stack[-1]
            if node_id in self.done:
                stack.pop()
            elif node_id in self.path:
                stack.pop()
                del self.path[node_id]
                self.done[node_id] = None
            else:
                self.path[node_id] = None
                stack.extend(self._new_sources(node_id))

    def _new_sources(self, node_id: NodeId) -> list[NodeId]:
        done, path = self.done, self.path
        new = [source for source in self.sources(node_id) if source not in done]
        if not path.keys().isdisjoint(new):
            for start in [source for source in new if source in path]:
                self._note_loop(start)
                new.remove(start)
        new.reverse()
        return new

    def _note_loop(self, start: NodeId) -> None:
        ids = list(self.path)
        loop = ids[ids.index(start) :]
        if self.looping.isdisjoint(loop):
            self.looping.update(loop)
            self.loops.append(loop[::-1])
