"""Nodes that send their inputs to all open inputs of the same type: "Use Everywhere".

The pack cg-use-everywhere does this in the editor, just before a workflow is sent. Its nodes are
read as the links that they stand for. It saves these links, too; they go before those that are
found by its rules.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nodegraph.errors import MendedFile, NodeGraphError, short_repr
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.workflow.editor.document import BYPASS, NEVER, Canvas, Document, EditorNode, Wire
from nodegraph.workflow.editor.scopes import EVERYWHERE, VIRTUAL
from nodegraph.workflow.editor.senders import PROPERTIES, Sender, senders_of

_CONNECTABLE: Final = "widget_ue_connectable"
_UNCONNECTABLE: Final = "input_ue_unconnectable"
_REJECTS: Final = "rejects_ue_links"
_SAVED: Final = "ue_links"
_ENDS: Final = ("upstream", "downstream", "controller")


def link_open_inputs(document: Document) -> Document:
    """Return the document with the links that "Use Everywhere" makes, on each canvas by itself."""
    remarks = list(document.remarks)

    def link(canvas: Canvas) -> Canvas:
        return _Linker(canvas, remarks, converts_widgets=document.converts_widgets).canvas()

    canvas = link(document.canvas)
    subgraphs = {key: link(inner) for key, inner in document.subgraphs.items()}
    return replace(document, canvas=canvas, subgraphs=subgraphs, remarks=remarks)


class _Linker:
    """Links the open inputs of one canvas; tells the remarks what can not be decided."""

    def __init__(
        self, canvas: Canvas, remarks: list[NodeGraphError], *, converts_widgets: bool
    ) -> None:
        self._canvas = canvas
        self._remarks = remarks
        self._converts_widgets = converts_widgets
        self._saved = _saved_links(canvas)
        self._by_type: dict[str, list[Sender]] = {}
        self._links = dict(canvas.links)

    def canvas(self) -> Canvas:
        """Return the canvas with the links."""
        everywhere = [
            node
            for node in self._canvas.nodes.values()
            if node.type_name in EVERYWHERE and _runs(node)
        ]
        if not everywhere:
            return self._canvas
        for node in everywhere:
            for sender in senders_of(self._canvas, node):
                self._by_type.setdefault(sender.type, []).append(sender)
        nodes = {key: self._with_links(node) for key, node in self._canvas.nodes.items()}
        return replace(self._canvas, nodes=nodes, links=self._links)

    def _with_links(self, node: EditorNode) -> EditorNode:
        """Link the open inputs of a node to the senders that reach them."""
        if node.type_name in VIRTUAL or not _runs(node) or node.properties.get(_REJECTS):
            return node
        slots = list(node.inputs)
        for place, slot in enumerate(slots):
            if slot.link is not None:
                continue
            origin = self._saved.get((node.id, place)) or self._origin(node, place)
            if origin is not None:
                key = f"everywhere {node.id} {place}"
                self._links[key] = Wire(*origin, node.id, place)
                slots[place] = replace(slot, link=key)
        return replace(node, inputs=slots)

    def _origin(self, node: EditorNode, place: int) -> tuple[str, int] | None:
        """Return the output whose value an open input takes; None if there is none or several."""
        slot = node.inputs[place]
        if not self._takes(node, place):
            return None
        kinds = (slot.type, "STRING") if slot.type == "COMBO" else (slot.type,)
        found = [
            sender
            for kind in kinds
            for sender in self._by_type.get(kind, ())
            if sender.reaches(node, slot)
        ]
        if not found:
            return None
        highest = max(sender.priority for sender in found)
        origins = {(each.origin, each.origin_slot) for each in found if each.priority == highest}
        if len(origins) == 1:
            return origins.pop()
        message = (
            f"several nodes of Use Everywhere send a {slot.type} to its input"
            f" {short_repr(slot.name)}, so none does, as in the editor."
        )
        hint = "Give one of them a priority, or link the input."
        self._remarks.append(MendedFile(message, hint=hint, node_id=node.id))
        return None

    def _takes(self, node: EditorNode, place: int) -> bool:
        """Say if an input is open to senders: sockets are, and widgets that were opened."""
        slot = node.inputs[place]
        if slot.widget and not self._converts_widgets:
            return _is_named(node, _CONNECTABLE, slot.name)
        return not _is_named(node, _UNCONNECTABLE, slot.name)


def _runs(node: EditorNode) -> bool:
    return node.mode not in (NEVER, BYPASS)


def _is_named(node: EditorNode, key: str, name: str) -> bool:
    """Say if a node's properties name an input under a key."""
    given = node.properties.get(PROPERTIES)
    inner = given.get(key) if is_object(given) else None
    return any(
        is_object(found) and bool(found.get(name)) for found in (inner, node.properties.get(key))
    )


def _saved_links(canvas: Canvas) -> dict[tuple[str, int], tuple[str, int]]:
    """Return the links that the pack saved: by a node and its input, a node and its output."""
    given = canvas.extra.get(_SAVED)
    items = [item for item in (given if is_list(given) else ()) if is_object(item)]
    return dict(pair for item in items if (pair := _saved_link(canvas, item)))


def _saved_link(
    canvas: Canvas, item: Mapping[str, object]
) -> tuple[tuple[str, int], tuple[str, int]] | None:
    """Read a saved link; None if a node of it is not there, or does not run any more."""
    origin, target, sender = (canvas.nodes.get(str(item.get(key))) for key in _ENDS)
    slot, place = item.get("upstream_slot"), item.get("downstream_slot")
    if not isinstance(slot, int) or not isinstance(place, int):
        return None
    if not (origin and target and sender and _runs(origin) and _runs(sender)):
        return None
    return (target.id, place), (origin.id, slot)
