"""Versions of node types in graphs: pinned when a graph is saved, migrated when it is read."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nodegraph.errors import NodeExecutionError, NodeGraphError, short_repr
from nodegraph.graph.graph import Graph, Node
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.registry import Registry
from nodegraph.runtime.node_errors import call_node_code
from nodegraph.validation.inputs import Report
from nodegraph.validation.problems import CustomValidationError

Migrate = Callable[[Mapping[str, object], str], Mapping[str, object]]
"""A function from the inputs and version of a saved node to the inputs that its type takes now."""
_NAMED = re.compile(r"(.+)@(\d[\w.+-]*)")


class OtherVersion(NodeGraphError):  # noqa: N818 - a remark
    """A remark: a node was saved with another version of its type."""

    code = "other_version"

    def __init__(self, node: Node, spec: NodeSpec) -> None:
        super().__init__(
            f"was saved with version {short_repr(node.version)} of {spec.name};"
            f" {spec.version} is here, and there is no migration.",
            hint="Check that its inputs still mean the same.",
            node_id=node.id,
        )


def pin_versions(graph: Graph, catalog: Mapping[str, NodeSpec]) -> Graph:
    """Return the graph with the version of every node's type, for a file."""
    nodes = {
        node.id: replace(node, version=catalog[node.type_name].version)
        if node.type_name in catalog
        else node
        for node in graph.nodes.values()
    }
    return replace(graph, nodes=nodes)


def migrate(graph: Graph, registry: Registry, report: Report) -> Graph:
    """Return the graph with every node migrated to the present version of its type.

    A node that names another version of its type is migrated by the type's own function, if it
    has one; else there is a remark. `Name@1.0` as a type's name means that version of `Name`.
    """
    catalog = registry.catalog
    changed: dict[str, Node] = {}
    for node in graph.nodes.values():
        if node.version is None and "@" not in node.type_name:
            continue
        found = _split_version(node, catalog)
        spec = catalog.get(found.type_name)
        if spec and found.version not in (None, spec.version):
            found = _migrate_node(found, spec, registry, report)
        if found is not node:
            changed[node.id] = found
    return replace(graph, nodes={**graph.nodes, **changed}) if changed else graph


def _split_version(node: Node, catalog: Mapping[str, NodeSpec]) -> Node:
    """Split the version off a node's type name, `Name@1.0`."""
    match = _NAMED.fullmatch(node.type_name)
    if match is None or node.type_name in catalog or match[1] not in catalog:
        return node
    return replace(node, type_name=match[1], version=match[2])


def _migrate_node(node: Node, spec: NodeSpec, registry: Registry, report: Report) -> Node:
    if spec.migrate is None:
        report.warnings.append(OtherVersion(node, spec))
        return replace(node, version=spec.version)
    try:
        inputs = call_node_code(node, _ask, registry, spec.migrate, node)
    except NodeExecutionError as error:
        message = f"its migration from version {node.version}: {error.message}"
        report.problems.append(CustomValidationError(message, node_id=node.id))
        return node
    except NodeGraphError as error:
        report.problems.append(error)
        return node
    return replace(node, inputs=inputs, version=spec.version)


def _ask(registry: Registry, reference: str, node: Node) -> dict[str, Any]:
    ask: Migrate = registry.resolve(reference)
    return dict(ask(dict(node.inputs), node.version or ""))
