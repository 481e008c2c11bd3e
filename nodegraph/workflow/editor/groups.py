"""Group nodes, the editor's older way of folding nodes into one, as the subgraphs they amount to.

A group is a list of nodes and the links between them, by their index in that list. The node that
stands for the group has all that is not linked inside: inputs and outputs in order, and widgets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from nodegraph.graph.json_values import is_list, is_object
from nodegraph.workflow.editor.document import (
    INPUT_SIDE,
    OUTPUT_SIDE,
    Canvas,
    Document,
    EditorNode,
    Slot,
    Wire,
)
from nodegraph.workflow.editor.reading import read_canvas
from nodegraph.workflow.editor.shapes import Shapes, Widget

_PREFIXES = ("workflow>", "workflow/")


def expand_groups(document: Document, value: Mapping[str, object], shapes: Shapes) -> Document:
    """Return the document with every group turned into a subgraph.

    Args:
        document: the document.
        value: the JSON it was read from, whose `extra.groupNodes` are the groups.
        shapes: looks up how the editor draws a node type.

    Raises:
        InvalidWorkflowError: a group has another shape.
    """
    extra = value.get("extra")
    given = extra.get("groupNodes") if is_object(extra) else None
    if not is_object(given):
        return document
    groups: dict[str, Group] = {}
    for name in _names_in_use(document, given):
        item = given[name]
        group = _group(name, item if is_object(item) else {}, shapes)
        groups |= {prefix + name: group for prefix in _PREFIXES}
    canvases = {key: group.canvas for key, group in groups.items()}
    subgraphs = {**document.subgraphs, **canvases}
    return replace(
        document,
        canvas=_with_hosts(document.canvas, groups),
        subgraphs={key: _with_hosts(canvas, groups) for key, canvas in subgraphs.items()},
    )


@dataclass(frozen=True, slots=True)
class Group:
    """A group as a subgraph, and the sockets and widgets of the node that stands for it."""

    canvas: Canvas
    sockets: Sequence[str]
    """The subgraph's inputs for the inputs of such a node, in order."""
    widgets: Sequence[tuple[str, str]]
    """Its widgets in order: the name on the outside, and the subgraph's input."""

    def host(self, node: EditorNode) -> EditorNode:
        """Turn a node that stands for the group into one that stands for the subgraph."""
        sockets = iter(self.sockets)
        called = dict(self.widgets)
        slots = [
            replace(
                slot, name=next(sockets, "") if slot.widget is None else called.get(slot.name, "")
            )
            for slot in node.inputs
        ]
        values = node.values
        if not isinstance(values, Mapping):
            inputs = [name for _, name in self.widgets]
            values = dict(zip(inputs, values, strict=False))
        return replace(node, inputs=slots, values=values)


def _names_in_use(document: Document, given: Mapping[str, object]) -> Iterable[str]:
    """Return the names of the groups that nodes use, also those within other groups.

    Others are not looked at, for nothing depends on them.
    """
    canvases = (document.canvas, *document.subgraphs.values())
    pending = [node.type_name for canvas in canvases for node in canvas.nodes.values()]
    found: dict[str, None] = {}
    while pending:
        type_name = pending.pop()
        name = type_name[len(_PREFIXES[0]) :] if type_name.startswith(_PREFIXES) else ""
        if name in given and name not in found:
            found[name] = None
            item = given[name]
            inner = _list(item.get("nodes")) if is_object(item) else []
            kinds = [node.get("type") for node in inner if is_object(node)]
            pending.extend(kind for kind in kinds if isinstance(kind, str))
    return found


def _with_hosts(canvas: Canvas, groups: Mapping[str, Group]) -> Canvas:
    nodes = {
        key: groups[node.type_name].host(node) if node.type_name in groups else node
        for key, node in canvas.nodes.items()
    }
    return replace(canvas, nodes=nodes)


def _group(name: str, item: Mapping[str, object], shapes: Shapes) -> Group:
    canvas = read_canvas(_with_ids(item), name)
    builder = _Builder(canvas, item.get("config"))
    for node in canvas.nodes.values():
        shape = shapes(node.type_name)
        builder.add(node, shape.inputs.widgets if shape else ())
    builder.add_outputs(item.get("external"))
    return builder.build()


def _with_ids(item: Mapping[str, object]) -> dict[str, object]:
    """Give the group's nodes and links ids, as every other canvas has them.

    A link from or to a node outside of the group has null in its place; the canvas drops it.
    """
    nodes, links = item.get("nodes"), item.get("links")
    wires = [[k, *link[:4]] if is_list(link) else link for k, link in enumerate(_list(links))]
    ends = {(wire[3], wire[4]): wire[0] for wire in wires if is_list(wire) and len(wire) > 4}
    return {
        "nodes": [
            {**node, "id": place, "inputs": _with_links(node.get("inputs"), place, ends)}
            if is_object(node)
            else node
            for place, node in enumerate(_list(nodes))
        ],
        "links": wires,
    }


def _with_links(
    slots: object, place: int, ends: Mapping[tuple[object, object], object]
) -> list[object]:
    return [
        {**slot, "link": ends.get((place, k))} if is_object(slot) else slot
        for k, slot in enumerate(_list(slots))
    ]


class _Builder:
    """Puts a group's subgraph together."""

    def __init__(self, canvas: Canvas, config: object) -> None:
        self._canvas = canvas
        self._config = config
        self._nodes: dict[str, EditorNode] = {}
        self._links = dict(canvas.links)
        self._inputs: list[Slot] = []
        self._from_inputs: dict[int, Sequence[Wire]] = {}
        self._to_outputs: dict[int, Wire] = {}
        self._sockets: list[str] = []
        self._widgets: list[tuple[str, str]] = []

    def add(self, node: EditorNode, widgets: Iterable[Widget]) -> None:
        """Add a node, and its inputs and widgets to those of the group."""
        slots = list(node.inputs)
        for place, slot in enumerate(slots):
            if slot.link is None and slot.widget is None and self._visible(node, "input", slot):
                slots[place], name = self._own_input(node, slot, place)
                self._sockets.append(name)
        for widget in widgets:
            self._add_widget(node, widget, slots)
        self._nodes[node.id] = replace(node, inputs=slots)

    def _add_widget(self, node: EditorNode, widget: Widget, slots: list[Slot]) -> None:
        place = next((k for k, slot in enumerate(slots) if slot.widget == widget.name), None)
        slot = Slot(widget.name, widget.type, widget=widget.name) if place is None else slots[place]
        if slot.link is not None or not self._visible(node, "input", slot):
            return
        taken = {label for label, _ in self._widgets}
        called = f"{node.title or node.type_name} {widget.name}"
        label = called if widget.name in taken else widget.name
        if not widget.sent:
            self._widgets.append((f"{label} {len(taken)}", ""))
            return
        if place is None:
            place = len(slots)
            slots.append(slot)
        slots[place], name = self._own_input(node, slot, place)
        self._widgets.append((label, name))

    def _own_input(self, node: EditorNode, slot: Slot, place: int) -> tuple[Slot, str]:
        """Add an input to the subgraph and link it to an input of a node inside."""
        key = f"{node.id} {slot.name}"
        wire = Wire(INPUT_SIDE, len(self._inputs), node.id, place)
        self._links[key] = wire
        self._from_inputs[len(self._inputs)] = [wire]
        self._inputs.append(Slot(key, slot.type))
        return replace(slot, link=key), key

    def add_outputs(self, external: object) -> None:
        """Add the outputs that nothing inside reads, and those marked as external."""
        inside = {(wire.origin, wire.origin_slot) for wire in self._canvas.links.values()}
        marked = {(str(item[0]), item[1]) for item in _list(external) if is_list(item) and item[1:]}
        for node in self._nodes.values():
            for place, slot in enumerate(node.outputs):
                end = node.id, place
                hidden = end in inside and end not in marked
                if not hidden and self._visible(node, "output", replace(slot, name=str(place))):
                    number = len(self._to_outputs)
                    self._to_outputs[number] = Wire(node.id, place, OUTPUT_SIDE, number)

    def build(self) -> Group:
        """Return the finished group."""
        canvas = Canvas(
            self._nodes,
            self._links,
            self._canvas.name,
            self._inputs,
            self._from_inputs,
            self._to_outputs,
        )
        return Group(canvas, self._sockets, self._widgets)

    def _visible(self, node: EditorNode, side: str, slot: Slot) -> bool:
        """Say if the group's settings show an input or output."""
        found = self._config
        for key in (node.id, side, slot.name, "visible"):
            found = found.get(key) if is_object(found) else None
        return found is not False


def _list(value: object) -> list[object]:
    return value if is_list(value) else []
