"""`--set NODE.INPUT=VALUE` and `--seed N`: change a graph's literals before it runs.

Programs give the same names with values (`assign_values`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NoReturn, cast

from nodegraph.errors import NodeGraphError, nearest
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.spec import NodeSpec
from nodegraph.validation.literals import COMBO
from nodegraph.workflow.api_format import with_nodes

SEEDS = ("seed", "noise_seed")
VALUES = "values"
"""The name of a program's values in errors, in the place of `--set`."""
_TEXTS = ("STRING", COMBO)


class AssignmentError(NodeGraphError):
    """A `--set` names a node or an input that the workflow does not have."""

    code = "bad_assignment"


def assign(graph: Graph, assignments: Iterable[str], catalog: Mapping[str, NodeSpec]) -> Graph:
    """Return the graph with the assignments of `--set` applied.

    The longest id or title that an assignment begins with is its node; the value is JSON if
    it parses, else text. An input that takes text gets text: `42`, not the number.

    Raises:
        AssignmentError: no such node or input; names the nearest.
    """
    nodes = dict(graph.nodes)
    for text in assignments:
        node, rest = node_of(text, nodes, "--set")
        name, equals, value = rest.partition("=")
        if not equals:
            message = f"--set {text!r} has no value."
            raise AssignmentError(message, hint=_form("--set"))
        _check_input(node, name, catalog, "--set")
        parsed = _parse(value, nodes)
        if _takes_text(node, name, catalog) and not isinstance(parsed, str | Link):
            parsed = value
        nodes[node.id] = replace(node, inputs={**node.inputs, name: parsed})
    return with_nodes(graph, nodes)


def assign_values(
    graph: Graph, values: Mapping[str, object], catalog: Mapping[str, NodeSpec]
) -> Graph:
    """Return the graph with JSON values assigned, each by the `NODE.INPUT` that `--set` takes.

    `["4", 0]` is a link as in workflow files.

    Raises:
        AssignmentError: no such node or input; names the nearest.
    """
    nodes = dict(graph.nodes)
    for target, value in values.items():
        node, name = node_of(target, nodes, VALUES)
        _check_input(node, name, catalog, VALUES)
        given = _link(cast("list[object]", value), nodes) if isinstance(value, list) else value
        nodes[node.id] = replace(node, inputs={**node.inputs, name: given})
    return with_nodes(graph, nodes)


def set_seeds(graph: Graph, seed: int, catalog: Mapping[str, NodeSpec]) -> Graph:
    """Return the graph with every unlinked `seed` and `noise_seed` set."""
    nodes: dict[str, Node] = {}
    for node in graph.nodes.values():
        known = _inputs(node, catalog)
        names = [
            name for name in SEEDS if name in known and not isinstance(node.inputs.get(name), Link)
        ]
        nodes[node.id] = replace(node, inputs={**node.inputs, **dict.fromkeys(names, seed)})
    return with_nodes(graph, nodes)


def has_seed(graph: Graph, catalog: Mapping[str, NodeSpec]) -> bool:
    """Say if a node has a seed that is no link."""
    return set_seeds(graph, -1, catalog) != graph


def node_of(text: str, nodes: Mapping[str, Node], option: str) -> tuple[Node, str]:
    """Return the node that `NODE.INPUT` names, by its id or title, and the text after the dot.

    Raises:
        AssignmentError: there is none; names the nearest.
    """
    found = [(node.id, node) for node in nodes.values() if text.startswith(f"{node.id}.")]
    found += [
        (node.title, node)
        for node in nodes.values()
        if node.title and text.startswith(f"{node.title}.")
    ]
    if not found:
        _unknown_node(text, nodes, option)
    length = max(len(name) for name, _ in found)
    longest = [(name, node) for name, node in found if len(name) == length]
    name, node = longest[0]
    if len(longest) > 1 and node.id != name:
        ids = ", ".join(repr(node.id) for _, node in longest)
        message = f"{option}: {len(longest)} nodes have the title {name!r}."
        raise AssignmentError(message, hint=f"Use an id: {ids}.")
    return node, text[length + 1 :]


def _unknown_node(text: str, nodes: Mapping[str, Node], option: str) -> NoReturn:
    target = text.partition("=")[0]
    name = target.rpartition(".")[0] or target
    known = [*nodes, *(node.title for node in nodes.values() if node.title)]
    if target in known:
        message = f"{option} {text!r} names a node, and none of its inputs."
        raise AssignmentError(message, hint=_form(option))
    message = f"{option}: the workflow has no node with the id or title {name!r}."
    if "." not in target:
        raise AssignmentError(message, hint=_form(option))
    there = f"There are: {', '.join(known[:8])}{', …' if len(known) > 8 else ''}."
    raise AssignmentError(message, hint=nearest(name, known) or there)


def _form(option: str) -> str:
    value = "=VALUE" if option == "--set" else ""
    form = '"NODE.INPUT": VALUE' if option == VALUES else f"{option} NODE.INPUT{value}"
    return f"It is written {form}, where NODE is an id or a title."


def _check_input(node: Node, name: str, catalog: Mapping[str, NodeSpec], option: str) -> None:
    known = _inputs(node, catalog)
    if name in known or (node.type_name not in catalog and not known):
        return
    message = f"{option}: {node.type_name} has no input {name!r}."
    hint = nearest(name, known) or f"Its inputs: {', '.join(known)}."
    raise AssignmentError(message, hint=hint, node_id=node.id)


def _inputs(node: Node, catalog: Mapping[str, NodeSpec]) -> list[str]:
    spec = catalog.get(node.type_name)
    declared = [item.name for item in inputs_for(spec.inputs, node.inputs)] if spec else []
    return list(dict.fromkeys((*declared, *node.inputs)))


def _takes_text(node: Node, name: str, catalog: Mapping[str, NodeSpec]) -> bool:
    spec = catalog.get(node.type_name)
    inputs = inputs_for(spec.inputs, node.inputs) if spec else ()
    return any(item.name == name and item.socket in _TEXTS for item in inputs)


def _parse(text: str, nodes: Mapping[str, Node]) -> object:
    """Parse JSON, or return the text itself; `["4", 0]` is a link as in workflow files."""
    try:
        value: object = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return text
    return _link(cast("list[object]", value), nodes) if isinstance(value, list) else value


def _link(items: list[object], nodes: Mapping[str, Node]) -> object:
    match items:
        case [str(source), int(output)] if source in nodes:
            return Link(source, output)
        case _:
            return items


def _no_number(text: str) -> NoReturn:
    raise ValueError(text)
