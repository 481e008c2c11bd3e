"""The API format: `{"id": {"class_type": …, "inputs": {…}, "_meta": {"title": …}}}` ⇄ Graph."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nodegraph.errors import (
    EditorFormatError,
    InvalidPromptError,
    InvalidWorkflowError,
    MissingClassTypeError,
    NodeGraphError,
    short_repr,
)
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.json_values import MOST_NODES, WRAPPED, is_list, is_object, is_plain, refuse
from nodegraph.workflow.type_names import as_today

LINK_LENGTH = 2


def read_prompt(value: object, editor: Mapping[str, object] | None = None) -> Graph:
    """Read a graph from parsed JSON: the API format, bare or as it is submitted over HTTP.

    Args:
        value: the parsed JSON.
        editor: the editor's description of the same graph, kept with the images it makes.

    Raises:
        InvalidWorkflowError: it has another shape; names everything that is wrong.
    """
    if not is_object(value):
        hint = 'A workflow is an object of nodes: {"1": {"class_type": …, "inputs": {…}}}.'
        refuse(f"this is JSON, but no workflow: {short_repr(value)}.", hint)
    if is_list(value.get("nodes")):
        message = "this is a workflow in the editor format; the API format is needed here."
        hint = "Convert it: nodegraph convert WORKFLOW -o FILE"
        raise InvalidWorkflowError([EditorFormatError(message, hint)])
    prompt = value.get("prompt")
    if is_object(prompt) and "class_type" not in prompt:
        return read_prompt(prompt, editor or _submitted_editor(value))
    return _read_nodes(value, editor)


def to_prompt(graph: Graph) -> dict[str, Any]:
    """Return the graph in API format."""
    return {node.id: _to_json(node) for node in graph.nodes.values()}


def as_sent(graph: Graph) -> dict[str, Any]:
    """Return the graph in API format: as it was sent, or else as `to_prompt` writes it."""
    return to_prompt(graph) if graph.sent is None else dict(graph.sent)


def with_nodes(graph: Graph, nodes: Mapping[str, Node]) -> Graph:
    """Return the graph with nodes that a person has changed, also in what was sent."""
    if graph.sent is None:
        return replace(graph, nodes=nodes)
    sent = dict(graph.sent)
    for key, node in nodes.items():
        before = graph.nodes[key]
        item = sent.get(key)
        if node != before and is_object(item):
            given = item.get("inputs")
            changed = {
                name: _write_input(value)
                for name, value in node.inputs.items()
                if name not in before.inputs or before.inputs[name] != value
            }
            sent[key] = {**item, "inputs": {**(given if is_object(given) else {}), **changed}}
    return replace(graph, nodes=nodes, sent=sent)


def _read_nodes(value: Mapping[str, object], editor: Mapping[str, object] | None) -> Graph:
    if len(value) > MOST_NODES:
        refuse(f"it has {len(value):,} nodes; the most allowed is {MOST_NODES:,}.")
    nodes: dict[str, Node] = {}
    problems: list[NodeGraphError] = []
    for node_id, item in value.items():
        found = _read_node(node_id, item)
        if isinstance(found, Node):
            nodes[node_id] = as_today(found)
        else:
            problems.append(found)
    if problems:
        raise InvalidWorkflowError(problems)
    return Graph(nodes, editor, sent=value if is_plain(value) else None)


def _read_node(node_id: str, item: object) -> Node | NodeGraphError:
    if not is_object(item):
        return InvalidPromptError(f"a node is an object, not {short_repr(item)}.", node_id=node_id)
    type_name, inputs = item.get("class_type"), item.get("inputs", {})
    if not isinstance(type_name, str):
        return MissingClassTypeError(node_id)
    if not is_object(inputs):
        return InvalidPromptError(
            f"inputs is an object, not {short_repr(inputs)}.", node_id=node_id
        )
    meta = item.get("_meta")
    about = meta if is_object(meta) else {}
    title, version = about.get("title"), about.get("version")
    return Node(
        node_id,
        type_name,
        {name: _read_input(given) for name, given in inputs.items()},
        title if isinstance(title, str) else None,
        version if isinstance(version, str) else None,
    )


def _read_input(value: object) -> object:
    if is_list(value):
        return _read_link(value)
    if is_object(value) and value.keys() == {WRAPPED}:
        return value[WRAPPED]
    return value


def _read_link(value: list[object]) -> object:
    """Read `["4", 0]` or `[4, 0]` as a link, and any other list as itself."""
    if len(value) != LINK_LENGTH:
        return value
    source, output = value
    if isinstance(source, bool) or not isinstance(source, str | int) or type(output) is not int:
        return value
    return Link(str(source), output)


def _to_json(node: Node) -> dict[str, Any]:
    inputs = {name: _write_input(value) for name, value in node.inputs.items()}
    written: dict[str, Any] = {"class_type": node.type_name, "inputs": inputs}
    about = {"title": node.title, "version": node.version}
    meta = {name: text for name, text in about.items() if text is not None}
    return written | {"_meta": meta} if meta else written


def _write_input(value: object) -> object:
    if isinstance(value, Link):
        return [value.source, value.output]
    wrap = is_list(value) or (is_object(value) and value.keys() == {WRAPPED})
    return {WRAPPED: value} if wrap else value


def _submitted_editor(value: Mapping[str, object]) -> Mapping[str, object] | None:
    extra = value.get("extra_data")
    info = extra.get("extra_pnginfo") if is_object(extra) else None
    editor = info.get("workflow") if is_object(info) else None
    return editor if is_object(editor) else None
