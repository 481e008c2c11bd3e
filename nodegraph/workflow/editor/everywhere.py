"""Nodes that send their inputs to all open inputs of the same type: "Use Everywhere".

The pack cg-use-everywhere does this in the editor, just before a workflow is sent. Its nodes are
read as the links that they stand for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from nodegraph.graph.json_values import is_object
from nodegraph.graph.sockets import ANY
from nodegraph.workflow.editor.document import BYPASS, NEVER, Canvas, Document, EditorNode, Wire
from nodegraph.workflow.editor.scopes import EVERYWHERE, REROUTES, SEED_EVERYWHERE, VIRTUAL

PROMPTS: Final = "Prompts Everywhere"
BY_NAME: Final = "Anything Everywhere?"
_PROPERTIES = "ue_properties"
_CONNECTABLE = "widget_ue_connectable"
_SEEDS = r"seed"
_PROMPTS = (r"(_|\b)pos(itive|_|\b)|^prompt", r"(_|\b)neg(ative|_|\b)")
_ANYTHING = ("", ".*")
_MOST_STEPS = 100
"""The most reroutes in a row that are followed for a value's type."""
_LONGEST_NAME = 40
_LONGEST_PATTERN = 100
_MOST_REPEATS = 2
"""The most repetitions in a pattern; more could take long in a hostile file."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A value that goes everywhere, and the inputs that take it."""

    origin: str
    origin_slot: int
    type: str
    title: str = ""
    """A pattern for the titles of nodes; all if empty."""
    input: str = ""
    """A pattern for the names of inputs; all if empty."""
    rank: int = 2
    """Of two that fit, the one with the lower rank counts, and then the first."""

    def reaches(self, node: EditorNode, name: str) -> bool:
        """Say if an open input of this type takes the value."""
        titles = node.title or node.type_name
        return (
            node.id != self.origin and _matches(self.title, titles) and _matches(self.input, name)
        )


def link_open_inputs(document: Document) -> Document:
    """Return the document with the links that "Use Everywhere" makes, on each canvas by itself."""
    return replace(
        document,
        canvas=_linked_canvas(document.canvas, converts_widgets=document.converts_widgets),
        subgraphs={
            key: _linked_canvas(canvas, converts_widgets=document.converts_widgets)
            for key, canvas in document.subgraphs.items()
        },
    )


def _linked_canvas(canvas: Canvas, *, converts_widgets: bool) -> Canvas:
    senders = sorted(
        (
            sender
            for node in canvas.nodes.values()
            if node.type_name in EVERYWHERE and node.mode not in (NEVER, BYPASS)
            for sender in _senders(canvas, node)
        ),
        key=lambda sender: sender.rank,
    )
    if not senders:
        return canvas
    by_type: dict[str, list[Sender]] = {}
    for sender in senders:
        by_type.setdefault(sender.type, []).append(sender)
    links = dict(canvas.links)
    nodes = {
        key: _with_values(node, by_type, links, converts_widgets=converts_widgets)
        for key, node in canvas.nodes.items()
    }
    return replace(canvas, nodes=nodes, links=links)


def _with_values(
    node: EditorNode,
    senders: Mapping[str, list[Sender]],
    links: dict[str, Wire],
    *,
    converts_widgets: bool,
) -> EditorNode:
    """Link the open inputs of a node to the senders that reach them; adds to `links`."""
    if node.type_name in VIRTUAL or node.mode in (NEVER, BYPASS):
        return node
    slots = list(node.inputs)
    for place, slot in enumerate(slots):
        if slot.link is not None or (
            slot.widget and not converts_widgets and not _takes(node, slot.name)
        ):
            continue
        reached = (one for one in senders.get(slot.type, ()) if one.reaches(node, slot.name))
        sender = next(reached, None)
        if sender:
            key = f"everywhere {node.id} {place}"
            links[key] = Wire(sender.origin, sender.origin_slot, node.id, place)
            slots[place] = replace(slot, link=key)
    return replace(node, inputs=slots)


def _senders(canvas: Canvas, node: EditorNode) -> Iterator[Sender]:
    """Yield the values that a node sends."""
    settings = _settings(node)
    if node.type_name == SEED_EVERYWHERE:
        yield Sender(node.id, 0, "INT", input=_SEEDS, rank=1)
        return
    for place, slot in enumerate(node.inputs):
        wire = canvas.links.get(slot.link or "")
        kind = _type_of(canvas, wire)
        if wire is None or kind == ANY:
            continue
        title, name = settings
        if node.type_name == PROMPTS:
            name = _PROMPTS[min(place, 1)]
        rank = 0 if title or (name and node.type_name != PROMPTS) else 2
        rank = 1 if node.type_name == PROMPTS else rank
        yield Sender(wire.origin, wire.origin_slot, kind, title, name, rank)


def _settings(node: EditorNode) -> tuple[str, str]:
    """Return the patterns for titles and inputs that a node is limited to."""
    given = node.properties.get(_PROPERTIES)
    if is_object(given):
        found = (given.get("title_regex"), given.get("input_regex"))
    elif node.type_name == BY_NAME and not isinstance(node.values, Mapping):
        found = (*node.values[:2], None, None)[:2]
    elif node.type_name == BY_NAME and isinstance(node.values, Mapping):
        found = (node.values.get("title_regex"), node.values.get("input_regex"))
    else:
        found = (None, None)
    title, name = (
        item if isinstance(item, str) and item not in _ANYTHING else "" for item in found
    )
    return title, name


def _type_of(canvas: Canvas, wire: Wire | None) -> str:
    """Return the type that a link carries, past reroutes; `*` if it is not known."""
    for _ in range(_MOST_STEPS):
        origin = canvas.nodes.get(wire.origin) if wire else None
        if wire is None or origin is None:
            return ANY
        outputs = origin.outputs
        kind = outputs[wire.origin_slot].type if 0 <= wire.origin_slot < len(outputs) else ANY
        if kind != ANY or origin.type_name not in REROUTES or not origin.inputs:
            return kind
        wire = canvas.links.get(origin.inputs[0].link or "")
    return ANY


def _takes(node: EditorNode, name: str) -> bool:
    """Say if a widget was opened to the nodes here; sockets always are."""
    given = node.properties.get(_PROPERTIES)
    inner = given.get(_CONNECTABLE) if is_object(given) else None
    for found in (inner, node.properties.get(_CONNECTABLE)):
        if is_object(found) and found.get(name):
            return True
    return False


@lru_cache(maxsize=10_000)
def _matches(pattern: str, text: str) -> bool:
    """Say if a pattern is somewhere in a text; one that could take long, or is broken, is not."""
    if not pattern:
        return True
    repeats = sum(pattern.count(mark) for mark in "*+{")
    if len(pattern) > _LONGEST_PATTERN or repeats > _MOST_REPEATS or re.search(r"\)[*+{]", pattern):
        return False
    try:
        return re.search(pattern, text[:_LONGEST_NAME]) is not None
    except re.error:
        return False
