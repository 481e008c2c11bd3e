"""Chooses the inputs of a workflow that its form shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nodegraph.errors import UnknownNodeTypeError
from nodegraph.graph.graph import Graph, Link, Node
from server.form.errors import FormError
from server.form.fields import SEEDS, Field, Kind, field_of, inputs_of, names_of

_NAMES: Mapping[str, str] = {
    "ckpt_name": "Checkpoint",
    "unet_name": "Model",
    "lora_name": "LoRA",
    "strength_model": "LoRA strength",
    "width": "Width",
    "height": "Height",
    "batch_size": "Images",
    "steps": "Steps",
    "cfg": "CFG",
    "guidance": "Guidance",
    "denoise": "Denoise",
    **dict.fromkeys(SEEDS, "Seed"),
}
"""Inputs that a form shows by default, and their labels."""
_ORDER: Sequence[Kind] = ("text", "line", "image", "choice", "integer", "number", "flag", "seed")
_ROLES = {"positive": "Prompt", "negative": "Negative prompt"}
_CARRIED = "value"
"""The input of nodes that only pass a value on."""


def default_fields(graph: Graph, info: Mapping[str, Any]) -> list[Field]:
    """Return the fields of a form by default: prompts, images, models, sizes, steps, seeds.

    Args:
        graph: the workflow.
        info: the server's node types, as in `/object_info`.

    Raises:
        UnknownNodeTypeError: the server does not have one of the node types.
        FormError: the workflow has no such inputs.
    """
    _check_types(graph, info)
    found = [
        field for node in graph.nodes.values() for field in _default_fields_of(node, graph, info)
    ]
    once = {(field.node, field.input): field for field in found}
    if not once:
        message = "this workflow has no inputs that a form shows by default."
        raise FormError(message, hint="Choose inputs: --expose NODE.INPUT.")
    return _with_labels(sorted(once.values(), key=lambda field: _ORDER.index(field.kind)), graph)


def choose_fields(
    graph: Graph, info: Mapping[str, Any], wanted: Sequence[tuple[str, str]]
) -> list[Field]:
    """Return fields for the chosen inputs, in that order.

    Args:
        graph: the workflow.
        info: the server's node types, as in `/object_info`.
        wanted: the nodes' ids, and the names of their inputs.

    Raises:
        UnknownNodeTypeError: the server does not have one of the node types.
        FormError: an input does not exist, is linked, or has no kind of field.
    """
    _check_types(graph, info)
    return _with_labels([_choose(graph, info, *one) for one in dict.fromkeys(wanted)], graph)


def _choose(graph: Graph, info: Mapping[str, Any], node_id: str, name: str) -> Field:
    node = graph.nodes[node_id]
    field = field_of(node, name, info)
    if field and not isinstance(node.inputs.get(name), Link):
        return replace(field, label=_label(name))
    reason = "is linked" if field else "is not a text, number, choice or image"
    free = ", ".join(_free(node, info)) or "none"
    hint = f"Inputs that can be exposed: {free}."
    message = f"its input {name!r} {reason}."
    raise FormError(message, hint=hint, node_id=node_id)


def _check_types(graph: Graph, info: Mapping[str, Any]) -> None:
    for node in graph.nodes.values():
        if node.type_name not in info:
            raise UnknownNodeTypeError(node.type_name, info, node_id=node.id)


def _default_fields_of(node: Node, graph: Graph, info: Mapping[str, Any]) -> Iterator[Field]:
    for name in inputs_of(node.type_name, info):
        holder, held = _holder(graph, node, name)
        field = field_of(holder, held, info)
        if field is None or held not in holder.inputs:
            continue
        if name in _NAMES:
            yield replace(field, label=_label(name), kind=_kind(name, field))
        elif held == name and field.kind in ("text", "image"):
            yield field


def _kind(name: str, field: Field) -> Kind:
    """Return the kind of a field; only the name of the input tells whether it is a seed."""
    if name in SEEDS:
        return "seed"
    return "integer" if field.kind == "seed" else field.kind


def _holder(graph: Graph, node: Node, name: str) -> tuple[Node, str]:
    """Return the node and the input that hold a value: the given ones, or those it is linked to."""
    seen: set[str] = set()
    link = node.inputs.get(name)
    while isinstance(link, Link) and link.source in graph.nodes and link.source not in seen:
        seen.add(link.source)
        node, name = graph.nodes[link.source], _CARRIED
        link = node.inputs.get(name)
    return node, name


def _free(node: Node, info: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name in inputs_of(node.type_name, info)
        if field_of(node, name, info) and not isinstance(node.inputs.get(name), Link)
    ]


def _with_labels(fields: Sequence[Field], graph: Graph) -> list[Field]:
    """Return fields with labels: texts are named after their nodes, others after their inputs."""
    roles = _roles(graph)
    titles = {node.id: node.title or node.type_name for node in graph.nodes.values()}
    named = [replace(field, label=_name(field, graph, roles)) for field in fields]
    labels = names_of(named, titles)
    return [replace(field, label=label) for field, label in zip(named, labels, strict=True)]


def _name(field: Field, graph: Graph, roles: Mapping[str, str]) -> str:
    if field.kind not in ("text", "image"):
        return field.label
    node = graph.nodes[field.node]
    name = node.title or roles.get(node.id) or ("Picture" if field.kind == "image" else "")
    alone = sum(isinstance(value, str) for value in node.inputs.values()) == 1
    return (name if alone else f"{name} {field.input}".strip()) or _label(field.input)


def _roles(graph: Graph) -> dict[str, str]:
    """Return the role of each node that leads to an input called `positive` or `negative`."""
    found: dict[str, str] = {}
    for role, name in _ROLES.items():
        links = [node.inputs.get(role) for node in graph.nodes.values()]
        todo = [link.source for link in links if isinstance(link, Link)]
        while todo:
            source = todo.pop()
            if source in graph.nodes and source not in found:
                found[source] = name
                todo += graph.nodes[source].sources
    return found


def _label(name: str) -> str:
    return _NAMES.get(name) or name.replace("_", " ").capitalize()
