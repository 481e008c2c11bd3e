"""Defaults for inputs that a workflow file lacks, for it may be older than they are.

The editor fills them in when it opens a file. A program that sends a workflow over HTTP in
ComfyUI's dialect gets an error instead, as from ComfyUI.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from nodegraph.errors import NodeGraphError
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph, Node
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.validation.problems import DefaultedInput


def with_defaults(graph: Graph, catalog: Mapping[str, NodeSpec]) -> Graph:
    """Return the graph of a file with defaults for the required inputs that it lacks, and remarks.

    Args:
        graph: the graph.
        catalog: the node types by name; nodes of others stay as they are.
    """
    remarks: list[NodeGraphError] = []
    changed: dict[str, Node] = {}
    for node in graph.nodes.values():
        spec = catalog.get(node.type_name)
        added = dict(_lacking(node, spec)) if spec else {}
        if added:
            changed[node.id] = replace(node, inputs={**node.inputs, **added})
            remarks += [DefaultedInput(node.id, name, value) for name, value in added.items()]
    if not changed:
        return graph
    return replace(graph, nodes={**graph.nodes, **changed}, remarks=(*graph.remarks, *remarks))


def _lacking(node: Node, spec: NodeSpec) -> Iterator[tuple[str, object]]:
    """Yield the inputs that a node lacks with their defaults; not those that must be chosen."""
    for item in inputs_for(spec.inputs, node.inputs):
        if item.required and item.name not in node.inputs:
            default = _default(item)
            if default is not None:
                yield item.name, default


def _default(spec: InputSpec) -> object:
    """Return the value that a new node has in the editor; None for files and links."""
    if spec.has_default:
        return spec.default
    listed = spec.model_folder is None and not spec.input_file
    return spec.choices[0] if listed and spec.choices else None
