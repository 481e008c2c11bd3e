"""Read the editor's JSON into a `Document`, and collect everything that is wrong with it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from nodegraph.errors import (
    EditorFormatError,
    InvalidWorkflowError,
    MendedFile,
    NodeGraphError,
    short_repr,
)
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.workflow.editor.document import (
    INPUT_SIDE,
    OUTPUT_SIDE,
    Box,
    Canvas,
    Document,
    EditorNode,
    Slot,
    Wire,
)
from nodegraph.workflow.type_names import drawn_type

NEWEST = 1
"""The newest version of the format that is known; 0.4 is the one before."""
_WITH_SOCKETS = (1, 16)
"""The first version of the editor in which each widget has a socket besides."""
_LONGEST_NUMBER = 6
_TITLE_HEIGHT = 30.0
"""The height of a node's title, in the editor's pixels."""
_COLLAPSED_WIDTH = 80.0
_LINK_KEYS = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def read_document(value: Mapping[str, object]) -> Document:
    """Read the workflow and its subgraphs.

    Raises:
        InvalidWorkflowError: it has another shape; names everything that is wrong.
    """
    version = _number(value.get("version", NEWEST))
    if version is None or version >= NEWEST + 1:
        given = short_repr(value.get("version"))
        message = f"version {given} of the editor format is not known."
        raise InvalidWorkflowError([EditorFormatError(message, "Versions 0.4 and 1.0 are.")])
    reader = _Reader()
    canvas = reader.canvas(value, "")
    subgraphs = dict(reader.subgraphs(value))
    if reader.problems:
        raise InvalidWorkflowError(reader.problems)
    return Document(canvas, subgraphs, reader.remarks, _converts_widgets(value))


def _converts_widgets(value: Mapping[str, object]) -> bool:
    extra = value.get("extra")
    version = extra.get("frontendVersion") if is_object(extra) else None
    parts = version.split(".")[:2] if isinstance(version, str) else []
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) < _LONGEST_NUMBER]
    return len(numbers) < len(_WITH_SOCKETS) or numbers < [*_WITH_SOCKETS]


def read_canvas(value: Mapping[str, object], name: str) -> Canvas:
    """Read a canvas by itself.

    Raises:
        InvalidWorkflowError: it has another shape; names everything that is wrong.
    """
    reader = _Reader()
    canvas = reader.canvas(value, name)
    if reader.problems:
        raise InvalidWorkflowError(reader.problems)
    return canvas


class _Reader:
    """Reads one file, and collects what is wrong with it."""

    def __init__(self) -> None:
        self.problems: list[NodeGraphError] = []
        self.remarks: list[NodeGraphError] = []

    def subgraphs(self, value: Mapping[str, object]) -> Iterable[tuple[str, Canvas]]:
        """Read every subgraph that the file defines, by its id."""
        pending = [value]
        while pending:
            definitions = pending.pop().get("definitions")
            given = definitions.get("subgraphs") if is_object(definitions) else None
            for item in self._objects(given, "definitions.subgraphs", ""):
                pending.append(item)
                key = item.get("id")
                if isinstance(key, str):
                    yield key, self.canvas(item, _text(item.get("name")) or key)
                else:
                    self._refuse(f"a subgraph's id is a text, not {short_repr(key)}.")

    def canvas(self, value: Mapping[str, object], name: str) -> Canvas:
        """Read the nodes and links of the workflow itself, or of a subgraph called `name`."""
        place = f" of the subgraph {short_repr(name)}" if name else ""
        nodes: dict[str, EditorNode] = {}
        for item in self._objects(value.get("nodes"), f"nodes{place}", place):
            node = self._node(item, place)
            if node and nodes.setdefault(node.id, node) is not node:
                self._refuse(f"there are two nodes with the id {short_repr(node.id)}{place}.")
        links = dict(self._links(value.get("links"), place))
        starts = {*nodes, INPUT_SIDE} if place else {*nodes}
        links = {key: wire for key, wire in links.items() if wire.origin in starts}
        nodes = {key: self._without_loose_links(node, links, place) for key, node in nodes.items()}
        feeding: dict[int, list[Wire]] = {}
        for wire in links.values():
            if wire.origin == INPUT_SIDE:
                feeding.setdefault(wire.origin_slot, []).append(wire)
        ends = {wire.target_slot: wire for wire in links.values() if wire.target == OUTPUT_SIDE}
        inputs = self._slots(value.get("inputs"), f"inputs{place}", None)
        extra = value.get("extra")
        return Canvas(
            nodes,
            links,
            name,
            inputs,
            feeding,
            ends,
            boxes=list(_boxes(value.get("groups"))),
            extra=extra if is_object(extra) else {},
        )

    def _node(self, item: Mapping[str, object], place: str) -> EditorNode | None:
        key, type_name = _id(item.get("id")), item.get("type")
        if key is None:
            self._refuse(
                f"a node's id is a number or a text, not {short_repr(item.get('id'))}{place}."
            )
            return None
        if not isinstance(type_name, str):
            self._refuse(f"its type is a text, not {short_repr(type_name)}{place}.", key)
            return None
        mode, values, named, properties = (
            item.get(name)
            for name in ("mode", "widgets_values", "widgets_values_named", "properties")
        )
        if values is not None and not is_list(values) and not is_object(values):
            self._refuse(f"widgets_values is a list, not {short_repr(values)}{place}.", key)
            values = None
        values = [] if values is None else values
        inputs = self._slots(item.get("inputs"), f"inputs{place}", key)
        return EditorNode(
            id=key,
            type_name=drawn_type(type_name, [slot.name for slot in inputs], values),
            mode=mode if isinstance(mode, int) else 0,
            inputs=inputs,
            outputs=self._slots(item.get("outputs"), f"outputs{place}", key),
            values=values,
            title=_text(item.get("title")),
            named_values=named if is_object(named) else {},
            properties=properties if is_object(properties) else {},
            centre=_centre(item),
            colour=_text(item.get("color")),
        )

    def _slots(self, given: object, what: str, node_id: str | None) -> list[Slot]:
        slots: list[Slot] = []
        for item in self._objects([] if given is None else given, what, "", node_id):
            name, widget = item.get("name"), item.get("widget")
            if not isinstance(name, str):
                self._refuse(
                    f"the name of one of its {what} is {short_repr(name)}, not a text.", node_id
                )
                name = ""
            kind = item.get("type")
            slots.append(
                Slot(
                    name=name,
                    type=kind if isinstance(kind, str) else "*",
                    link=_id(item.get("link")),
                    widget=_text(widget.get("name")) if is_object(widget) else None,
                    label=_text(item.get("label")),
                )
            )
        return slots

    def _links(self, given: object, place: str) -> Iterable[tuple[str, Wire]]:
        items = [*given.values()] if is_object(given) else given
        if items is not None and not is_list(items):
            self._refuse(f"links{place} is a list, not {short_repr(given)}.")
            return
        for item in items or ():
            if item is None or _leads_nowhere(item):
                continue  # Old files keep the places of removed links.
            found = _link(item)
            if found:
                yield found
            else:
                hint = "It is [id, from node, from output, to node, to input, type]."
                self._refuse(f"this is no link{place}: {short_repr(item)}.", hint=hint)

    def _without_loose_links(
        self, node: EditorNode, links: Mapping[str, Wire], place: str
    ) -> EditorNode:
        """Drop the links of inputs that do not exist, or come from no node, as the editor does."""
        loose = [slot for slot in node.inputs if slot.link is not None and slot.link not in links]
        if not loose:
            return node
        for slot in loose:
            message = f"its input {short_repr(slot.name)}{place} has a link that leads nowhere."
            self.remarks.append(MendedFile(message, hint="It is left out.", node_id=node.id))
        slots = [replace(slot, link=None) if slot in loose else slot for slot in node.inputs]
        return replace(node, inputs=slots)

    def _objects(
        self, given: object, what: str, place: str, node_id: str | None = None
    ) -> Iterable[dict[str, object]]:
        if given is None and what.startswith("definitions"):
            return
        if not is_list(given):
            self._refuse(f"{what} is a list, not {short_repr(given)}.", node_id)
            return
        for item in given:
            if is_object(item):
                yield item
            else:
                self._refuse(
                    f"in {what} is {short_repr(item)}, which is no object{place}.", node_id
                )

    def _refuse(self, message: str, node_id: str | None = None, hint: str = "") -> None:
        self.problems.append(EditorFormatError(message, hint, node_id=node_id))


def _boxes(given: object) -> Iterable[Box]:
    """Read the groups that are drawn; those of another shape hold nothing and are left out."""
    for item in given if is_list(given) else ():
        if is_object(item):
            bounds = _coordinates(item.get("bounding"), 4)
            if bounds:
                yield Box(_text(item.get("title")) or "", *bounds)


def _centre(item: Mapping[str, object]) -> tuple[float, float] | None:
    """Return the middle of a node with its title, which is above its position."""
    flags = item.get("flags")
    place, size = _coordinates(item.get("pos"), 2), _coordinates(item.get("size"), 2)
    if not place or not size:
        return None
    collapsed = is_object(flags) and flags.get("collapsed") is True
    width, height = (_COLLAPSED_WIDTH, 0.0) if collapsed else size
    return place[0] + width / 2, place[1] + (height - _TITLE_HEIGHT) / 2


def _coordinates(given: object, count: int) -> list[float]:
    """Return numbers of a list, or of the object `{"0": …}` of old files; empty if it is other."""
    values = list(given.values()) if is_object(given) else given
    if not is_list(values) or len(values) < count:
        return []
    numbers = [_number(value) for value in values[:count]]
    return [number for number in numbers if number is not None] if None not in numbers else []


def _link(item: object) -> tuple[str, Wire] | None:
    """Read a link, a list (0.4) or an object (1.0, and in subgraphs); None if it is neither."""
    if is_object(item):
        fields = [item.get(key) for key in _LINK_KEYS]
    elif is_list(item) and len(item) >= len(_LINK_KEYS):
        fields = item[: len(_LINK_KEYS)]
    else:
        return None
    key, origin, origin_slot, target, target_slot = fields
    ids = _id(key), _id(origin), _id(target)
    if type(origin_slot) is not int or type(target_slot) is not int or None in ids:
        return None
    return str(ids[0]), Wire(str(ids[1]), origin_slot, str(ids[2]), target_slot)


def _leads_nowhere(item: object) -> bool:
    """Say if a link lacks an end: the editor drops it, and so do readers."""
    if is_object(item):
        return any(item.get(key, 0) is None for key in _LINK_KEYS)
    return is_list(item) and len(item) >= len(_LINK_KEYS) and None in item[: len(_LINK_KEYS)]


def _id(value: object) -> str | None:
    """Return an id as text, for `3` and `"3"` are the same; None if it is no id."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return str(value)


def _number(value: object) -> float | None:
    """Return a number, or the one that a text spells; None if it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
