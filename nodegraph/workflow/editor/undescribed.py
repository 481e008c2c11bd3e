"""Nodes of types that nobody has described, read by the names that the file itself has.

The newest editors save the values of widgets with names besides. In other files a widget may have
an input with its name; if all of a node's have one, its values can be told apart.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

from nodegraph.workflow.editor.document import EditorNode, Slot
from nodegraph.workflow.editor.shapes import READ_BY_NOBODY, Shapes
from nodegraph.workflow.editor.widgets import sent_values

_CONTROLS = ("fixed", "increment", "decrement", "randomize", "increment-wrap")
_EDITORS_OWN = frozenset(
    (
        "control_after_generate",
        "control_after_refresh",
        "control_filter_list",
        "upload",
        *READ_BY_NOBODY,
    )
)
"""Widgets that are no inputs."""
_CONTROLLED = ("INT", "COMBO")
"""The types of widgets that may be followed by the value of their control."""
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "INT": (int, float),
    "FLOAT": (int, float),
    "STRING": str,
    "BOOLEAN": bool,
}


class WidgetValues:
    """The values that nodes submit for their widgets.

    Args:
        shapes: looks up how the editor draws a node type.
    """

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    def of(self, node: EditorNode, held: Mapping[str, object]) -> dict[str, object]:
        """Return the values of a node by input; empty if they have no names.

        Args:
            node: the node.
            held: values that replace the node's own, by widget.
        """
        shape = self._shapes(node.type_name)
        if shape and not (shape.is_assumed and node.named_values):
            return sent_values(node, shape.inputs, held)
        found = _by_own_names(node) or {}
        return {name: held.get(name, value) for name, value in found.items()}

    def are_nameless(self, node: EditorNode) -> bool:
        """Say if a node has values, and neither its type nor the file has names for them."""
        return self._shapes(node.type_name) is None and _by_own_names(node) is None


def _by_own_names(node: EditorNode) -> dict[str, object] | None:
    """Return the values by the names that the file has for them; None if it has none."""
    slots = [slot for slot in node.inputs if slot.widget is not None]
    values = node.values
    if isinstance(values, Mapping):
        return _without_own(values, {slot.widget for slot in slots if slot.widget})
    if node.named_values:
        names, named = list(node.named_values), node.named_values
        pairs = zip(names, values, strict=True) if len(names) == len(values) else named.items()
        drawn = {slot.widget for slot in slots}
        return {
            name: value
            for name, value in pairs
            if name not in _EDITORS_OWN and (name in drawn or not isinstance(value, Mapping))
        }
    found = list(_pairs(slots, values))
    controls = sum(value in _CONTROLS for value in values if isinstance(value, str))
    if len(found) + controls < len(values):
        return None
    return {slot.widget: value for slot, value in found if slot.widget is not None}


def _without_own(values: Mapping[str, object], wanted: Collection[str]) -> dict[str, object]:
    """Return the values of inputs: those wanted, or else all but the editor's own and pictures."""
    return {
        name: value
        for name, value in values.items()
        if name in wanted
        or (not wanted and name not in _EDITORS_OWN and not isinstance(value, Mapping))
    }


def _pairs(slots: Sequence[Slot], values: Sequence[object]) -> Iterator[tuple[Slot, object]]:
    """Yield each widget's input with its value; leave out those of the editor's own widgets."""
    spare = len(values) - len(slots)
    at = 0
    for slot in slots:
        while spare > 0 and not _fits(slot, values[at]):
            at, spare = at + 1, spare - 1
        if at == len(values):
            return
        yield slot, values[at]
        at += 1
        if spare > 0 and slot.type in _CONTROLLED and values[at] in _CONTROLS:
            at, spare = at + 1, spare - 1


def _fits(slot: Slot, value: object) -> bool:
    """Say if a widget of this type can have the value."""
    wanted = _TYPES.get(slot.type)
    if wanted is None or value is None:
        return True
    return isinstance(value, wanted) and isinstance(value, bool) == (slot.type == "BOOLEAN")
