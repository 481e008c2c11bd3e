"""Layers and the longest path of a graph, by networkx."""

from collections.abc import Mapping, Sequence

from networkx import DiGraph, dag_longest_path, topological_generations

from nodegraph.graph.graph import NodeId

_START = -1
Links = Mapping[NodeId, Sequence[NodeId]]
"""The sources of every node, nodes in the order of execution."""


def layers(links: Links) -> dict[NodeId, int]:
    """Return the layer of every node: above its sources' layers, but for links that close a loop.

    A node without sources stands in the layer before the first that reads it.
    """
    graph, ids = _forward(links)
    depth = {
        number: layer
        for layer, numbers in enumerate(topological_generations(graph))
        for number in numbers
    }
    for number in depth:
        readers = [depth[reader] for reader in graph.successors(number)]
        if readers and not graph.in_degree(number):
            depth[number] = min(readers) - 1
    return {node_id: depth[number] for number, node_id in enumerate(ids)}


def critical_path(costs: Mapping[NodeId, int], links: Links) -> tuple[NodeId, ...]:
    """Return the path along the links whose nodes cost most together; empty if the links loop.

    Args:
        costs: of the nodes that count.
        links: the sources of every node.
    """
    inside = {n: [s for s in sources if s in costs] for n, sources in links.items() if n in costs}
    graph, ids = _forward(inside)
    if graph.number_of_edges() < sum(len(set(sources)) for sources in inside.values()):
        return ()
    weighted: DiGraph[int] = DiGraph()
    for number, node_id in enumerate(ids):
        weighted.add_edge(_START, number, weight=costs[node_id])
        for source in graph.predecessors(number):
            weighted.add_edge(source, number, weight=costs[node_id])
    path = dag_longest_path(weighted, weight="weight") if ids else []
    return tuple(ids[number] for number in path if number != _START)


def _forward(links: Links) -> tuple["DiGraph[int]", list[NodeId]]:
    """Return the graph without the links that close a loop; nodes are numbered in their order."""
    ids = list(links)
    number = {node_id: k for k, node_id in enumerate(ids)}
    graph: DiGraph[int] = DiGraph()
    graph.add_nodes_from(range(len(ids)))
    for reader, node_id in enumerate(ids):
        sources = (number[source] for source in links[node_id])
        graph.add_edges_from((source, reader) for source in sources if source < reader)
    return graph, ids
