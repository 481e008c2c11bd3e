"""The checks that node types make of their inputs, for which their packs are imported."""

from dataclasses import replace

from nodegraph.errors import NodeExecutionError, NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.packs.registry import Registry
from nodegraph.runtime.node_errors import call_node_code
from nodegraph.validation.problems import CustomValidationError
from nodegraph.validation.validate import CheckedGraph


def has_own_checks(checked: CheckedGraph, registry: Registry) -> bool:
    """Return True if a node of the graph is of a type that checks its inputs itself."""
    catalog = registry.catalog
    types = {node.type_name for node in checked.graph.nodes.values()}
    return any(catalog[name].checks_inputs for name in types if name in catalog)


def with_own_checks(checked: CheckedGraph, registry: Registry, files: Files) -> CheckedGraph:
    """Ask the node types that check their inputs themselves, and add what they refuse.

    Nodes that have problems already, or read such nodes, are not asked.
    """
    touched = {problem.node_id for problem in checked.problems}
    found = [
        problem
        for node_id, node in checked.graph.nodes.items()
        if touched.isdisjoint((node_id, *node.sources))
        and (problem := _problem_of(node, checked, registry, files))
    ]
    return replace(checked, problems=(*checked.problems, *found)) if found else checked


def _problem_of(
    node: Node, checked: CheckedGraph, registry: Registry, files: Files
) -> NodeGraphError | None:
    spec = registry.catalog.get(node.type_name)
    if spec is None or not spec.checks_inputs:
        return None
    try:
        check = call_node_code(node, registry.find, node.type_name).check
        if check:
            literals = {k: v for k, v in node.inputs.items() if not isinstance(v, Link)}
            call_node_code(node, check, literals, _link_types(node, checked, registry), files)
    except NodeExecutionError as error:
        message = f"the check of its inputs fails: {error.__cause__}"
        details = {"exception_type": type(error.__cause__).__name__}
        return CustomValidationError(message, node_id=node.id, details=details)
    except NodeGraphError as error:
        return error
    return None


def _link_types(node: Node, checked: CheckedGraph, registry: Registry) -> dict[str, str]:
    """Return the type that each linked input gets."""
    links = {name: value for name, value in node.inputs.items() if isinstance(value, Link)}
    return {name: _type_of(link, checked, registry) for name, link in links.items()}


def _type_of(link: Link, checked: CheckedGraph, registry: Registry) -> str:
    source: NodeId = link.source
    return registry.spec(checked.graph.nodes[source].type_name).outputs[link.output].socket
