"""The input that a bypassed node passes on in place of an output."""

from collections.abc import Sequence

from nodegraph.graph.sockets import ANY
from nodegraph.workflow.editor.document import EditorNode, Slot
from nodegraph.workflow.editor.shapes import Shape


class BypassedNode:
    """The inputs of a bypassed node, indexed by type.

    Args:
        node: the node.
        shape: its type, whose inputs the file may leave out; None if it is not known.
    """

    def __init__(self, node: EditorNode, shape: Shape | None) -> None:
        self._outputs = node.outputs
        self._inputs = _all_inputs(node, shape) if shape else node.inputs
        self._exact: dict[str, int] = {}
        self._parts: dict[str, int] = {}
        for place, slot in enumerate(self._inputs):
            self._exact.setdefault(slot.type, place)
            for part in _parts(slot.type):
                self._parts.setdefault(part, place)

    def input(self, output: int) -> Slot | None:
        """Return the input at the output's index if its type fits, else the first that fits."""
        inputs = self._inputs
        carried = self._outputs[output].type if 0 <= output < len(self._outputs) else ANY
        if 0 <= output < len(inputs) and _fits(inputs[output].type, carried):
            return inputs[output]
        if carried in self._exact:
            return inputs[self._exact[carried]]
        if carried == ANY:
            return inputs[0] if inputs else None
        places = [self._parts[part] for part in (*_parts(carried), ANY) if part in self._parts]
        return inputs[min(places)] if places else None


def _all_inputs(node: EditorNode, shape: Shape) -> Sequence[Slot]:
    """Return a node's inputs in the editor's order, including those its file leaves out."""
    given = {slot.name: slot for slot in node.inputs}
    widgets = [Slot(item.name, item.type) for item in shape.inputs.widgets if item.sent]
    order = [*shape.inputs.sockets, *widgets]
    named = {slot.name for slot in order}
    return [given.get(slot.name, slot) for slot in order] + [
        slot for slot in node.inputs if slot.name not in named
    ]


def _fits(one: str, other: str) -> bool:
    """Say if two sockets have a type in common."""
    return ANY in (one, other) or not _parts(one).isdisjoint(_parts(other))


def _parts(kind: str) -> set[str]:
    return set(kind.upper().split(","))
