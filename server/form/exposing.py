"""Which inputs of a workflow a form asks for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from nodegraph.errors import UnknownNodeTypeError
from nodegraph.graph import Graph, Link, Node
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
"""Inputs that are exposed if nobody says which, and what to call them."""
_ORDER: Sequence[Kind] = ("text", "line", "image", "choice", "integer", "number", "flag", "seed")
_ROLES = {"positive": "Prompt", "negative": "Negative prompt"}
_CARRIED = "value"
"""The input of nodes that only hand a value on."""


def exposed(graph: Graph, info: Mapping[str, Any]) -> list[Field]:
    """The inputs that people expect: prompts, pictures, models, sizes, steps, seeds.

    Args:
        graph: the workflow.
        info: what the server says of the node types, as `/object_info` does.

    Raises:
        UnknownNodeTypeError: the server does not have one of them.
        FormError: there is nothing to ask for.
    """
    _check_types(graph, info)
    found = [field for node in graph.nodes.values() for field in _expected(node, graph, info)]
    once = {(field.node, field.input): field for field in found}
    if not once:
        message = "there is nothing in this workflow that a form would ask for."
        raise FormError(message, hint="Choose inputs: --expose NODE.INPUT.")
    return _labelled(sorted(once.values(), key=lambda field: _ORDER.index(field.kind)), graph)


def chosen(graph: Graph, info: Mapping[str, Any], wanted: Sequence[tuple[str, str]]) -> list[Field]:
    """The inputs that somebody chose, in that order.

    Args:
        graph: the workflow.
        info: what the server says of the node types, as `/object_info` does.
        wanted: nodes' ids, and the names of their inputs.

    Raises:
        UnknownNodeTypeError: the server does not have one of the node types.
        FormError: there is no such input, or it is linked, or no form can ask for it.
    """
    _check_types(graph, info)
    return _labelled([_chosen(graph, info, *one) for one in dict.fromkeys(wanted)], graph)


def _chosen(graph: Graph, info: Mapping[str, Any], node_id: str, name: str) -> Field:
    node = graph.nodes[node_id]
    field = field_of(node, name, info)
    if field and not isinstance(node.inputs.get(name), Link):
        return replace(field, label=_label(name))
    reason = "is linked" if field else "is no text, number, choice or picture"
    free = ", ".join(_free(node, info)) or "none"
    hint = f"Those that can be exposed: {free}."
    message = f"its input {name!r} {reason}."
    raise FormError(message, hint=hint, node_id=node_id)


def _check_types(graph: Graph, info: Mapping[str, Any]) -> None:
    for node in graph.nodes.values():
        if node.type_name not in info:
            raise UnknownNodeTypeError(node.type_name, info, node_id=node.id)


def _expected(node: Node, graph: Graph, info: Mapping[str, Any]) -> Iterator[Field]:
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
    """A node that hands a number on does not know whether it is a seed."""
    if name in SEEDS:
        return "seed"
    return "integer" if field.kind == "seed" else field.kind


def _holder(graph: Graph, node: Node, name: str) -> tuple[Node, str]:
    """The node that an input's value stands in, and where: its own, or one that hands it on."""
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


def _labelled(fields: Sequence[Field], graph: Graph) -> list[Field]:
    """Texts are called as their nodes are, the rest by the name of the input."""
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
    """What the nodes before an input called `positive` or `negative` are for."""
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
