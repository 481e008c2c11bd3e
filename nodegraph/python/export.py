"""Workflows as Python code that builds the same graph."""

import json
import keyword
import re
from collections.abc import Mapping, Sequence

from nodegraph.errors import InvalidWorkflowError, NodeGraphError, UnknownNodeTypeError
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.graph.traversal import sources_first
from nodegraph.python.stubs import is_name
from nodegraph.validation.problems import (
    CycleError,
    LinkOutputOutOfRangeError,
    LinkToMissingNodeError,
)

Names = Mapping[tuple[str, int], str]
"""The variable for each output that is used, by node id and output number."""

_TAKEN = frozenset({"g", "Graph", "build", *keyword.kwlist, *keyword.softkwlist})
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "INT": int,
    "FLOAT": (int, float),
    "STRING": str,
    "BOOLEAN": bool,
}
_WIDTH = 100
_INDENT = "    "


def as_python(graph: Graph, catalog: Mapping[str, NodeSpec], title: str = "A workflow") -> str:
    """Write a program whose function `build` builds the graph, and which runs it.

    Args:
        graph: what to write.
        catalog: the node types; all of the graph's have to be there.
        title: for the first line.

    Raises:
        InvalidWorkflowError: types or linked nodes are not there, or the links loop.
    """
    nodes = _order_nodes(graph, catalog)
    names = _names(nodes, catalog)
    body = "".join(_statement(node, catalog[node.type_name], names) for node in nodes)
    safe = title.replace("\\", "/").replace('"', "'").replace("\n", " ")
    return (
        f'"""{safe}."""\n\nfrom nodegraph import Graph\n\n\n'
        f'def build() -> Graph:\n    """Build the graph."""\n    g = Graph()\n{body}    return g\n'
        '\n\nif __name__ == "__main__":\n    build().run()\n'
    )


def _order_nodes(graph: Graph, catalog: Mapping[str, NodeSpec]) -> list[Node]:
    """Return the nodes, each after its sources.

    Raises:
        InvalidWorkflowError: there is no such order, or something is not there.
    """
    problems: list[NodeGraphError] = []
    for node in graph.nodes.values():
        if node.type_name not in catalog:
            problems.append(UnknownNodeTypeError(node.type_name, catalog, node_id=node.id))
        problems += _broken_links(node, graph, catalog)
    order, loops = sources_first(
        graph.nodes, lambda node_id: [s for s in graph.nodes[node_id].sources if s in graph.nodes]
    )
    problems += [CycleError(loop) for loop in loops]
    if problems:
        raise InvalidWorkflowError(problems)
    return [graph.nodes[node_id] for node_id in order]


def _broken_links(
    node: Node, graph: Graph, catalog: Mapping[str, NodeSpec]
) -> list[NodeGraphError]:
    found: list[NodeGraphError] = []
    for name, link in _links(node).items():
        source = graph.nodes.get(link.source)
        spec = catalog.get(source.type_name) if source else None
        if source is None:
            message = f"is linked to node {link.source!r}, which does not exist."
            found.append(LinkToMissingNodeError(node.id, name, link, message))
        elif spec and not 0 <= link.output < len(spec.outputs):
            message = (
                f"is linked to output {link.output} of node {link.source!r}, which does not exist."
            )
            found.append(LinkOutputOutOfRangeError(node.id, name, link, message))
    return found


def _links(node: Node) -> dict[str, Link]:
    return {name: value for name, value in node.inputs.items() if isinstance(value, Link)}


def _names(nodes: Sequence[Node], catalog: Mapping[str, NodeSpec]) -> Names:
    """Choose a variable for each output that something is linked to."""
    used = {(link.source, link.output) for node in nodes for link in _links(node).values()}
    taken = set(_TAKEN)
    names: dict[tuple[str, int], str] = {}
    for node in nodes:
        outputs = catalog[node.type_name].outputs
        for index, output in enumerate(outputs):
            if (node.id, index) in used:
                wished = output.name if len(outputs) > 1 else node.title or output.name
                names[node.id, index] = _free_name(_snake_case(wished), taken)
    return names


def _free_name(wished: str, taken: set[str]) -> str:
    name, number = wished, 2
    while name in taken:
        name, number = f"{wished}_{number}", number + 1
    taken.add(name)
    return name


def _snake_case(text: str) -> str:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")[:40].rstrip("_")
    return name if is_name(name) else f"out_{name}".rstrip("_")


def _statement(node: Node, spec: NodeSpec, names: Names) -> str:
    """Write the statement of one node: one line, or several where it is long."""
    plain = _is_typed(node, spec)
    given = {name: _value(value, names) for name, value in node.inputs.items()}
    more = {"id_": _literal(node.id)} | ({"title_": _literal(node.title)} if node.title else {})
    if plain:
        call, parts = f"g.{node.type_name}", [f"{k}={v}" for k, v in (given | more).items()]
    else:
        items = ", ".join(f"{_literal(name)}: {text}" for name, text in given.items())
        first = [_literal(node.type_name), f"{{{items}}}"]
        call, parts = "g.node", [*first, *(f"{k}={v}" for k, v in more.items())]
    head = f"{_INDENT}{_assignment(node, spec, names, plain=plain)}{call}("
    line = f"{head}{', '.join(parts)})\n"
    if len(line) <= _WIDTH:
        return line
    lines = "".join(f"{_INDENT * 2}{part},\n" for part in parts)
    return f"{head}\n{lines}{_INDENT})\n"


def _assignment(node: Node, spec: NodeSpec, names: Names, *, plain: bool) -> str:
    """Return the text before the call, `a, b = `; empty if no output is used."""
    found = [names.get((node.id, index), "_") for index in range(len(spec.outputs))]
    if all(name == "_" for name in found):
        return ""
    if len(found) == 1:
        return f"{found[0]} = " if plain else f"({found[0]},) = "
    return f"{', '.join(found)} = "


def _is_typed(node: Node, spec: NodeSpec) -> bool:
    """Say if the type's own method takes these inputs, by the types that it states."""
    if not is_name(node.type_name) or node.type_name in ("node", "place"):
        return False
    fits = all(_fits(spec.input(name), value) for name, value in node.inputs.items())
    needed = (item.name for item in spec.inputs if item.required and not item.has_default)
    return fits and all(name in node.inputs for name in needed)


def _fits(item: InputSpec | None, value: object) -> bool:
    if item is None or not is_name(item.name):
        return False
    if isinstance(value, Link):
        return True
    if item.choices:
        return value in item.choices
    wanted = _TYPES.get(item.socket, str if item.socket == "COMBO" else object)
    return isinstance(value, wanted) and (item.socket == "BOOLEAN" or not isinstance(value, bool))


def _value(value: object, names: Names) -> str:
    return names[value.source, value.output] if isinstance(value, Link) else _literal(value)


def _literal(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)
