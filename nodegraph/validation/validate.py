"""Check a whole graph before anything runs: find every problem at once, with hints."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from nodegraph.errors import NodeExecutionError, NodeGraphError, NotHereError, UnknownNodeTypeError
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import certain_sources
from nodegraph.graph.graph import Graph, Link, Node, NodeId
from nodegraph.graph.spec import NodeSpec
from nodegraph.graph.traversal import Sources, sources_first
from nodegraph.packs.registry import Registry
from nodegraph.runtime.node_errors import call_node_code
from nodegraph.validation.inputs import Inputs, Report
from nodegraph.validation.migrate import migrate
from nodegraph.validation.problems import (
    CustomValidationError,
    CycleError,
    NoOutputsError,
    UnknownTargetError,
    ValueNotInListError,
)
from nodegraph.validation.providers import providers_of

_FEW = 5
"""The most packs that a hint names."""


@dataclass(frozen=True, slots=True)
class CheckedGraph:
    """The result of validation: a graph that can run, or the problems that keep it from running."""

    original: Graph
    """The graph as it was given, but with the present versions of its node types."""
    graph: Graph
    """The nodes that the targets need: literals converted, with defaults, no unknown inputs."""
    targets: tuple[NodeId, ...]
    problems: tuple[NodeGraphError, ...]
    warnings: tuple[NodeGraphError, ...]
    """Conversions, ignored inputs, and the problems of nodes that no target needs."""

    @property
    def runnable(self) -> tuple[NodeId, ...]:
        """The targets that no problem affects: they could run without the others."""
        touched = self._readers_of({problem.node_id for problem in self.problems})
        return tuple(target for target in self.targets if target not in touched)

    def dependents(self, node_id: NodeId) -> tuple[NodeId, ...]:
        """Return the targets that need a node."""
        touched = self._readers_of({node_id})
        return tuple(target for target in self.targets if target in touched)

    def _readers_of(self, start: Iterable[NodeId | None]) -> set[NodeId | None]:
        touched = set(start)
        readers: dict[NodeId, list[NodeId]] = {}
        for node in self.graph.nodes.values():
            for source in node.sources:
                readers.setdefault(source, []).append(node.id)
        pending = list(touched)
        while pending:
            found = [r for r in readers.get(pending.pop() or "", ()) if r not in touched]
            touched.update(found)
            pending.extend(found)
        return touched


def check(
    graph: Graph, registry: Registry, files: Files, targets: Iterable[NodeId] | None = None
) -> CheckedGraph:
    """Check all that `targets` need; if None, the targets are all the output nodes.

    Problems of nodes that no target needs are warnings. So is what a node type's own check finds in
    nodes that run only if a lazy input asks for them. If `targets` is None, nodes of unknown
    types count as needed, for they might be output nodes; with all that they need.
    """
    report = Report(warnings=[*graph.remarks])
    catalog = registry.catalog
    graph = migrate(graph, registry, report)
    chosen = _targets(graph, catalog, targets, report)
    inputs = Inputs(graph, catalog, files)
    read = {node.id: inputs.read(node) for node in graph.nodes.values()}
    nodes = {node_id: found.node for node_id, found in read.items()}
    unknown = [] if targets is not None else _unknown_nodes(graph, catalog)
    if not chosen and not unknown:
        report.problems.append(NoOutputsError())
    order = _order(graph, nodes, list(dict.fromkeys((*chosen, *unknown))), report)
    needed = set(order)
    foreseen: list[NodeGraphError] = []
    for node_id, found in read.items():
        spec = catalog.get(found.node.type_name)
        if found.report:
            report.add(found.report, problems=node_id in needed)
        if spec and spec.preflight and node_id in needed and not found.is_refused:
            foreseen += _check_values(found.node, spec, registry, files)
    certain = _certain(nodes, catalog, (*chosen, *unknown)) if foreseen else set[NodeId]()
    for problem in foreseen:
        (report.problems if problem.node_id in certain else report.warnings).append(problem)
    if report.problems or report.warnings:
        providers_of(graph.editor).explain([*report.problems, *report.warnings])
        _tell_of_pending(registry.pending, report.problems)
        _explain_left_out([*report.problems, *report.warnings], registry.left_out)
    return CheckedGraph(
        graph,
        Graph({node_id: nodes[node_id] for node_id in nodes if node_id in needed}, graph.editor),
        tuple(chosen),
        tuple(report.problems),
        tuple(report.warnings),
    )


def _certain(
    nodes: Mapping[NodeId, Node], catalog: Mapping[str, NodeSpec], targets: Sequence[NodeId]
) -> set[NodeId]:
    """Return the nodes that run in any case."""

    def reads(node_id: NodeId) -> list[NodeId]:
        spec = catalog.get(nodes[node_id].type_name)
        found = certain_sources(nodes[node_id], spec.inputs if spec else ())
        return [source for source in found if source in nodes]

    return set(sources_first(targets, reads)[0])


def _tell_of_pending(pending: Sequence[str], problems: Iterable[NodeGraphError]) -> None:
    """Say in the hints of unknown node types and samplers which packs are still being read."""
    if not pending:
        return
    few = ", ".join(pending[:_FEW]) + (f" and {len(pending) - _FEW} more" if pending[_FEW:] else "")
    told = f"Packs that may have it are still being read: {few}; try again soon."
    for problem in problems:
        if isinstance(problem, UnknownNodeTypeError):
            problem.hint = told
        elif isinstance(problem, ValueNotInListError) and problem.registered:
            problem.hint = f"{problem.hint} {told}".lstrip()
        else:
            continue
        problem.details = {**problem.details, "pending_packs": list(pending)}


def _explain_left_out(problems: Iterable[NodeGraphError], left_out: Mapping[str, str]) -> None:
    """Say of node types whose packs are there why they can not be used."""
    for problem in problems:
        name = str(problem.details.get("class_type", ""))
        if isinstance(problem, UnknownNodeTypeError) and name in left_out:
            problem.hint = left_out[name][0].upper() + left_out[name][1:]


def _targets(
    graph: Graph,
    catalog: Mapping[str, NodeSpec],
    asked: Iterable[NodeId] | None,
    report: Report,
) -> list[NodeId]:
    """Return the nodes to run: those asked for, or every output node."""
    if asked is None:
        outputs = (node.id for node in graph.nodes.values() if _is_output(node, catalog))
        chosen = list(outputs)
    else:
        names = list(dict.fromkeys(asked))
        chosen = [name for name in names if name in graph.nodes]
        for name in names:
            if name not in graph.nodes:
                report.problems.append(UnknownTargetError(name, graph.nodes))
    return chosen


def _unknown_nodes(graph: Graph, catalog: Mapping[str, NodeSpec]) -> list[NodeId]:
    """Return the nodes of types that no pack has."""
    return [node.id for node in graph.nodes.values() if node.type_name not in catalog]


def _is_output(node: Node, catalog: Mapping[str, NodeSpec]) -> bool:
    spec = catalog.get(node.type_name)
    return spec is not None and spec.output_node


def _order(
    graph: Graph, nodes: Mapping[NodeId, Node], targets: Sequence[NodeId], report: Report
) -> list[NodeId]:
    """Sort all that the targets need, sources first.

    Loops on the way are problems, loops elsewhere warnings.
    """

    def sources(node_id: NodeId) -> list[NodeId]:
        return [source for source in nodes[node_id].sources if source in nodes]

    order, loops = sources_first(targets, sources)
    report.problems.extend(_cycles(loops, graph, sources))
    if len(order) < len(nodes):
        seen = {node_id for loop in loops for node_id in loop}
        _, elsewhere = sources_first(nodes, sources)
        others = [loop for loop in elsewhere if seen.isdisjoint(loop)]
        report.warnings.extend(_cycles(others, graph, sources))
    return order


def _cycles(loops: list[list[NodeId]], graph: Graph, sources: Sources) -> Iterator[CycleError]:
    """Name each loop in the direction of the data, from the node that comes first in the file."""
    if not loops:
        return
    position = {node_id: index for index, node_id in enumerate(graph.nodes)}
    for loop in loops:
        path = _shortest(loop, sources)
        start = path.index(min(path, key=position.__getitem__))
        yield CycleError([*path[start:], *path[:start]])


def _shortest(loop: list[NodeId], sources: Sources) -> list[NodeId]:
    """The shortest loop among a loop's nodes that has the link from its last node to its first.

    A search may come around by a detour; no link of the shortest one can be spared. Loops have no
    nodes in common, so that all of them together take time in proportion to the graph.
    """
    from networkx import DiGraph, bidirectional_shortest_path  # only where a graph loops

    inside = set(loop)
    links: DiGraph[NodeId] = DiGraph()
    for node_id in loop:
        links.add_edges_from((s, node_id) for s in sources(node_id) if s in inside)
    return bidirectional_shortest_path(links, loop[0], loop[-1])


def _check_values(
    node: Node, spec: NodeSpec, registry: Registry, files: Files
) -> list[NodeGraphError]:
    """Return the problems that the node type's own check finds; links have no value yet."""
    if spec.preflight is None:
        return []
    literals = {name: v for name, v in node.inputs.items() if not isinstance(v, Link)}
    try:
        ask = registry.resolve(spec.preflight)
        found: list[NodeGraphError] = call_node_code(node, _problems, ask, literals, files)
    except NotHereError:  # a model that the run downloads is checked then
        found = []
    except NodeExecutionError as error:
        found = [CustomValidationError(f"the check of its inputs: {error.message}")]
    except NodeGraphError as error:
        found = [error]
    return [problem if problem.node_id else problem.at(node.id) for problem in found]


def _problems(
    ask: Callable[..., Iterable[NodeGraphError] | None],
    literals: Mapping[str, object],
    files: Files,
) -> list[NodeGraphError]:
    return list(ask(literals, files) or ())
