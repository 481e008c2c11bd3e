"""Find out what a checked workflow would do, without importing or running a node."""

import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from nodegraph.cli.explanation.files import named_files
from nodegraph.cli.explanation.paths import critical_path, layers
from nodegraph.cli.explanation.values import ExplainedNode, Explanation, Source, Status
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import certain_sources, inputs_for
from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.spec import NodeSpec
from nodegraph.graph.traversal import sources_first
from nodegraph.runtime.driver import expected_device
from nodegraph.validation.validate import CheckedGraph

Catalog = Mapping[str, NodeSpec]


def explain(
    checked: CheckedGraph, catalog: Catalog, files: Files, *, keeps_results: bool = True
) -> Explanation:
    """Explain a workflow, whether it is valid or not.

    Args:
        checked: the workflow after validation.
        catalog: the node types there are.
        files: the folders that its inputs name files in.
        keeps_results: whether a run keeps results, so that equal nodes are computed once.
    """
    broken = {problem.node_id for problem in checked.problems}
    valid = {i: node for i, node in checked.graph.nodes.items() if i not in broken}
    nodes = {**checked.original.nodes, **valid}
    order = _order(nodes, checked.targets, catalog)
    needed = [nodes[node_id] for node_id in order if order[node_id] != "not_needed"]
    sure = [nodes[i] for i, status in order.items() if status == "runs"]
    repeats = _repeats(sure, catalog, broken) if keeps_results else {}
    links = {i: [source for source in nodes[i].sources if source in nodes] for i in order}
    depth = layers(links)
    device = expected_device()
    explained = {
        node_id: ExplainedNode(
            id=node_id,
            type_name=nodes[node_id].type_name,
            title=nodes[node_id].title or _display_name(nodes[node_id], catalog),
            status="repeats" if node_id in repeats else status,
            repeats=repeats.get(node_id),
            sources=_sources(nodes[node_id], nodes, catalog),
            steps=_steps(nodes[node_id].inputs),
            steps_linked=isinstance(nodes[node_id].inputs.get("steps"), Link),
            layer=depth[node_id],
            critical=False,
            broken=node_id in broken,
        )
        for node_id, status in order.items()
    }
    path = critical_path({node.id: explained[node.id].cost for node in needed}, links)
    return Explanation(
        nodes=_mark(explained, path),
        targets=checked.targets,
        critical_path=path,
        files=named_files(needed, catalog, files, device),
        device=device,
        problems=checked.problems,
        warnings=checked.warnings,
    )


def _mark(
    nodes: dict[NodeId, ExplainedNode], path: Sequence[NodeId]
) -> dict[NodeId, ExplainedNode]:
    return nodes | {node_id: replace(nodes[node_id], critical=True) for node_id in path}


def _order(
    nodes: Mapping[NodeId, Node], targets: Sequence[NodeId], catalog: Catalog
) -> dict[NodeId, Status]:
    """Return every node once, in the order in which the nodes that are needed run."""

    def reads(node_id: NodeId) -> list[NodeId]:
        return [source for source in nodes[node_id].sources if source in nodes]

    def needs(node_id: NodeId) -> list[NodeId]:
        spec = catalog.get(nodes[node_id].type_name)
        found = certain_sources(nodes[node_id], spec.inputs if spec else ())
        return [source for source in found if source in nodes]

    sure = set(sources_first(targets, needs)[0])
    order: dict[NodeId, Status] = {
        node_id: "runs" if node_id in sure else "on_demand"
        for node_id in sources_first(targets, reads)[0]
    }
    for node_id in sources_first(nodes, reads)[0]:
        order.setdefault(node_id, "not_needed")
    return order


class _Shared(NamedTuple):
    """A node that others may be equal to."""

    node_id: NodeId
    volatile: bool
    """True if no other node may take its result."""


def _repeats(
    nodes: Sequence[Node], catalog: Catalog, broken: Container[NodeId]
) -> dict[NodeId, NodeId]:
    """Return the nodes that take the result of an equal one before them, and that one.

    Args:
        nodes: those that run in any case, in order.
        catalog: the node types there are.
        broken: nodes with problems, whose result is not known.
    """
    shared: dict[NodeId, _Shared] = {}
    first: dict[str, NodeId] = {}
    repeats: dict[NodeId, NodeId] = {}
    for node in nodes:
        spec = catalog.get(node.type_name)
        links = [value for value in node.inputs.values() if isinstance(value, Link)]
        unique = spec is None or spec.cache == "never" or _names_linked_file(node, spec)
        unique = unique or node.id in broken
        if unique or any(shared.get(link.source, _UNKNOWN).volatile for link in links):
            shared[node.id] = _UNKNOWN
            continue
        same = first.setdefault(_content(node, shared), node.id)
        shared[node.id] = _Shared(same, volatile=False)
        if same != node.id:
            repeats[node.id] = same
    return repeats


_UNKNOWN = _Shared("", volatile=True)


def _names_linked_file(node: Node, spec: NodeSpec) -> bool:
    """Return True if a link names the file it reads, so that its content is not known yet."""
    return any(
        (item.model_folder or item.input_file) and isinstance(node.inputs.get(item.name), Link)
        for item in inputs_for(spec.inputs, node.inputs)
    )


def _content(node: Node, shared: Mapping[NodeId, _Shared]) -> str:
    """Return a text that is equal for equal nodes: type, values, and the results they read."""
    inputs = {
        name: ["link", shared[value.source].node_id, value.output]
        if isinstance(value, Link)
        else ["value", value]
        for name, value in node.inputs.items()
    }
    return json.dumps([node.type_name, inputs], sort_keys=True, default=repr)


def _sources(node: Node, nodes: Mapping[NodeId, Node], catalog: Catalog) -> tuple[Source, ...]:
    sources: list[Source] = []
    for name, link in node.inputs.items():
        if not isinstance(link, Link):
            continue
        source = nodes.get(link.source)
        spec = catalog.get(source.type_name) if source else None
        if spec and 0 <= link.output < len(spec.outputs):
            output = spec.outputs[link.output]
            sources.append(Source(name, link.source, output.name, output.socket))
        else:
            sources.append(Source(name, link.source, f"output {link.output}", ""))
    return tuple(sources)


def _display_name(node: Node, catalog: Catalog) -> str:
    spec = catalog.get(node.type_name)
    return spec.display_name if spec else node.type_name


def _steps(inputs: Mapping[str, object]) -> int | None:
    """Return the steps that inputs ask for: `steps`, from `start_at_step` to `end_at_step`."""
    steps = inputs.get("steps")
    if not isinstance(steps, int):
        return None
    start, end = (inputs.get(name) for name in ("start_at_step", "end_at_step"))
    last = min(steps, end) if isinstance(end, int) else steps
    return max(0, last - start if isinstance(start, int) else last)
