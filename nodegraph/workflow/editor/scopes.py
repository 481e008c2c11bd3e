"""The canvases of a workflow as they are used: one scope for each use of a subgraph."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from nodegraph.errors import EditorFormatError, InvalidWorkflowError
from nodegraph.graph.graph import NodeId
from nodegraph.graph.json_values import MOST_NODES
from nodegraph.graph.traversal import sources_first
from nodegraph.workflow.editor.document import BYPASS, NEVER, Canvas, Document, EditorNode, Slot
from nodegraph.workflow.editor.proxies import by_input, by_node
from nodegraph.workflow.editor.widgets import own_value

PRIMITIVE = "PrimitiveNode"
REROUTES = frozenset(("Reroute", "Reroute (rgthree)"))
SETTERS = frozenset(("SetNode", "easy setNode"))
"""Node types that give a name to the value they are linked to."""
GETTERS = frozenset(("GetNode", "easy getNode"))
"""Node types that pass on the value of that name."""
_TOOLS = frozenset(
    (
        "Note",
        "MarkdownNote",
        "Label (rgthree)",
        "Bookmark (rgthree)",
        "Fast Groups Muter (rgthree)",
        "Fast Groups Bypasser (rgthree)",
        "Fast Muter (rgthree)",
        "Fast Bypasser (rgthree)",
    )
)
SEED_EVERYWHERE = "Seed Everywhere"
PRIMITIVES = frozenset((PRIMITIVE, SEED_EVERYWHERE))
"""Node types that have a value of their own, and give it to the widgets that they are linked to."""
EVERYWHERE = frozenset(
    (
        SEED_EVERYWHERE,
        "Prompts Everywhere",
        "Anything Everywhere",
        "Anything Everywhere3",
        "Anything Everywhere?",
    )
)
"""Node types that send values to inputs without a link; see `everywhere`."""
VIRTUAL = frozenset((PRIMITIVE, *REROUTES, *SETTERS, *GETTERS, *EVERYWHERE, *_TOOLS))
"""Node types that exist in the editor alone: its own, and those of well-known packs."""


@dataclass(frozen=True)
class Scope:
    """One use of a canvas."""

    canvas: Canvas
    prefix: str = ""
    """The prefix of its nodes' ids in the graph: `17:4:`."""
    host: EditorNode | None = None
    """The node that stands for this use; None for the workflow itself."""
    outer: "Scope | None" = None

    def id_of(self, node: EditorNode) -> NodeId:
        """Return the id that one of its nodes has in the graph."""
        return self.prefix + node.id

    @cached_property
    def linked_inputs(self) -> Mapping[str, Slot]:
        """The host's inputs that have a link, by name."""
        slots = self.host.inputs if self.host else ()
        return {slot.name: slot for slot in slots if slot.link is not None}

    @cached_property
    def setters(self) -> Mapping[object, EditorNode]:
        """The nodes that name the value they are linked to, by that name."""
        nodes = self.canvas.nodes.values()
        return {str(own_value(node)): node for node in nodes if node.type_name in SETTERS}

    @cached_property
    def held_by_node(self) -> Mapping[NodeId, Mapping[str, object]]:
        """The values that the host holds for nodes inside, by node and widget."""
        return by_node(self.host) if self.host else {}

    @cached_property
    def held_values(self) -> Mapping[str, object]:
        """The values that the host holds, by the subgraph's inputs."""
        if self.host is None or self.outer is None:
            return {}
        return {**by_input(self.canvas, self.host), **self.outer.held_for(self.host)}

    def held_for(self, node: EditorNode) -> Mapping[str, object]:
        """The values that the host holds for the widgets of a node inside."""
        return self.held_by_node.get(node.id, {})

    @cached_property
    def uses(self) -> dict[NodeId, "Scope"]:
        """The scopes of the subgraphs that are used in it, by the id of their host."""
        return {}

    def inside(self, host: EditorNode, canvas: Canvas) -> "Scope":
        """Return the scope of the subgraph that a node of this scope stands for."""
        found = self.uses.get(host.id)
        if found is None:
            found = self.uses[host.id] = Scope(canvas, f"{self.id_of(host)}:", host, self)
        return found


def runs(node: EditorNode) -> bool:
    """Say if a node runs: it is neither muted, bypassed nor virtual."""
    return node.mode not in (NEVER, BYPASS) and node.type_name not in VIRTUAL


def unfold(document: Document) -> Iterator[tuple[Scope, EditorNode]]:
    """Yield every node that runs, with its scope.

    Raises:
        InvalidWorkflowError: a subgraph contains itself, or there are too many nodes.
    """
    check_loops(document)
    count = 0
    pending = [Scope(document.canvas)]
    while pending:
        scope = pending.pop()
        for node in scope.canvas.nodes.values():
            if not runs(node):
                continue
            count += 1
            if count > MOST_NODES:
                message = f"with its subgraphs unfolded it has more than {MOST_NODES:,} nodes."
                raise InvalidWorkflowError([EditorFormatError(message)])
            inner = document.subgraphs.get(node.type_name)
            if inner is None:
                yield scope, node
            else:
                pending.append(scope.inside(node, inner))


def check_loops(document: Document) -> None:
    """Refuse subgraphs that contain themselves.

    Raises:
        InvalidWorkflowError: there is one.
    """
    subgraphs = document.subgraphs

    def subgraphs_in(key: str) -> list[str]:
        types = dict.fromkeys(node.type_name for node in subgraphs[key].nodes.values())
        return [name for name in types if name in subgraphs]

    _, loops = sources_first(subgraphs, subgraphs_in)
    if loops:
        raise InvalidWorkflowError(
            [
                EditorFormatError(
                    "a subgraph contains itself: "
                    f"{' -> '.join(subgraphs[key].name for key in [*loop, loop[0]][:10])}."
                )
                for loop in loops
            ]
        )
