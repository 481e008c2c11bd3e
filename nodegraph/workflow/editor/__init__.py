"""The editor's own format: canvases of nodes and links, with subgraphs, reroutes, bypasses, ….

`read_editor` gives the graph that the editor itself would send to be run.
"""

from collections.abc import Mapping
from functools import cache

from nodegraph.graph import Graph, Node
from nodegraph.workflow.editor.document import EditorNode
from nodegraph.workflow.editor.hosts import Hosts
from nodegraph.workflow.editor.reading import read_document
from nodegraph.workflow.editor.scopes import Scope, unfolded
from nodegraph.workflow.editor.shapes import Shape, Shapes
from nodegraph.workflow.editor.tracing import Tracer, Value
from nodegraph.workflow.editor.widgets import sent_values

__all__ = ["Shapes", "read_editor"]


def read_editor(value: Mapping[str, object], shapes: Shapes) -> Graph:
    """A graph out of parsed JSON in the editor format, versions 0.4 and 1.0.

    A node whose type `shapes` does not know keeps its links and loses the values of its
    widgets, whose names nobody knows.

    Args:
        value: the parsed JSON.
        shapes: what the node types look like in the editor.

    Raises:
        InvalidWorkflowError: it has another shape; names everything that is wrong.
    """
    document = read_document(value)
    known = cache(shapes)
    tracer = Tracer(document, known, Hosts())
    nodes = [
        _node(scope, node, known(node.type_name), tracer) for scope, node in unfolded(document)
    ]
    return Graph({node.id: node for node in nodes}, value)


def _node(scope: Scope, node: EditorNode, shape: Shape | None, tracer: Tracer) -> Node:
    inputs = sent_values(node, shape.inputs) if shape else {}
    for slot in node.inputs:
        found = tracer.source(scope, node, slot)
        if isinstance(found, Value):
            inputs[slot.name] = found.value
        elif found is not None:
            inputs[slot.name] = found
    title = node.title or (shape.title if shape else None)
    return Node(scope.id_of(node), node.type_name, inputs, title)
