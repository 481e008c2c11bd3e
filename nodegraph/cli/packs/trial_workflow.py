"""The graph of a trial as the editor saves it, for node types that read their workflow."""

from collections.abc import Mapping
from typing import Any

from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.spec import NodeSpec


def as_editor_saves(graph: Graph, catalog: Mapping[str, NodeSpec]) -> dict[str, object]:
    """Return a graph in the editor's format, with its nodes side by side.

    Args:
        graph: its ids become numbers where they are some.
        catalog: the specs of its node types.
    """
    links: list[list[object]] = []
    nodes = {each.id: _as_saved(each, catalog[each.type_name]) for each in graph.nodes.values()}
    for node in graph.nodes.values():
        ends = ((name, value) for name, value in node.inputs.items() if isinstance(value, Link))
        for slot, (name, link) in enumerate(ends):
            output = catalog[graph.nodes[link.source].type_name].outputs[link.output]
            number = len(links) + 1
            target = _number(node.id)
            links.append([number, _number(link.source), link.output, target, slot, output.socket])
            nodes[node.id]["inputs"].append({"name": name, "type": output.socket, "link": number})
            nodes[link.source]["outputs"][link.output]["links"].append(number)
    for place, saved in enumerate(nodes.values()):
        saved |= {"pos": [place * 250, 0], "order": place}
    return {
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": list(nodes.values()),
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _as_saved(node: Node, spec: NodeSpec) -> dict[str, Any]:
    """Return a node without its links."""
    outputs = [
        {"name": output.name, "type": output.socket, "links": list[int](), "slot_index": slot}
        for slot, output in enumerate(spec.outputs)
    ]
    return {
        "id": _number(node.id),
        "type": node.type_name,
        "size": [200, 100],
        "flags": {},
        "mode": 0,
        "inputs": list[dict[str, object]](),
        "outputs": outputs,
        "properties": {"Node name for S&R": node.type_name},
        "widgets_values": [each for each in node.inputs.values() if not isinstance(each, Link)],
    }


def _number(own_id: str) -> int | str:
    return int(own_id) if own_id.isdecimal() else own_id
