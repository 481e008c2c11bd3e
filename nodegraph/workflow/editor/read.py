"""The editor's own format: canvases of nodes and links, with subgraphs, reroutes, bypasses, ….

`read_editor` returns the graph that the editor itself would submit.
"""

from collections.abc import Mapping
from functools import cache

from nodegraph.graph.graph import Graph, Node, NodeId
from nodegraph.workflow.editor.document import EditorNode
from nodegraph.workflow.editor.everywhere import link_open_inputs
from nodegraph.workflow.editor.groups import expand_groups
from nodegraph.workflow.editor.reading import read_document
from nodegraph.workflow.editor.scopes import Scope, unfold
from nodegraph.workflow.editor.shapes import Shape, Shapes
from nodegraph.workflow.editor.texts import with_values
from nodegraph.workflow.editor.tracing import Tracer, Value
from nodegraph.workflow.editor.undescribed import WidgetValues

__all__ = ["Shapes", "read_editor"]

_SEARCH_NAME = "Node name for S&R"
"""The property with the name by which a file name's prefix refers to the node."""


def read_editor(value: Mapping[str, object], shapes: Shapes) -> Graph:
    """Read a graph from parsed JSON in the editor format, versions 0.4 and 1.0.

    A node of a type that `shapes` does not know is read by the names that the file has for its
    widgets. If it has none, the node keeps its links alone and is one of the graph's `nameless`.

    Args:
        value: the parsed JSON.
        shapes: looks up how the editor draws a node type.

    Raises:
        InvalidWorkflowError: it has another shape; names everything that is wrong.
    """
    known = cache(shapes)
    document = link_open_inputs(expand_groups(read_document(value), value, known))
    values = WidgetValues(known)
    tracer = Tracer(document, known, values)
    nameless: set[NodeId] = set()
    nodes: list[Node] = []
    named: dict[str, Node] = {}
    titled: dict[str, Node] = {}
    for scope, editor_node in unfold(document):
        given = values.of(editor_node, scope.held_for(editor_node))
        node = _node(scope, editor_node, known(editor_node.type_name), given, tracer)
        nodes.append(node)
        if values.are_nameless(editor_node):
            nameless.add(node.id)
        name = editor_node.properties.get(_SEARCH_NAME)
        if isinstance(name, str):
            named.setdefault(name, node)
        if node.title:
            titled.setdefault(node.title, node)
    names = titled | named
    return Graph(
        {node.id: with_values(node, names) for node in nodes},
        value,
        tuple(document.remarks),
        nameless=frozenset(nameless),
    )


def _node(
    scope: Scope,
    node: EditorNode,
    shape: Shape | None,
    values: Mapping[str, object],
    tracer: Tracer,
) -> Node:
    inputs = dict(values)
    for slot in node.inputs:
        if (
            slot.widget
            and shape
            and slot.widget not in inputs
            and not shape.inputs.grows(slot.name)
            and not shape.inputs.has_socket(slot.name)
        ):
            continue  # Another version of the type had this widget.
        found = tracer.source(scope, node, slot)
        if found is not None:
            inputs[slot.name] = found.value if isinstance(found, Value) else found
    title = node.title or (shape.title if shape else None)
    return Node(scope.id_of(node), node.type_name, inputs, title)
