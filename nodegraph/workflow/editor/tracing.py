"""Trace an input's value to its source, through reroutes, bypassed nodes and subgraphs."""

from dataclasses import dataclass

from nodegraph.errors import EditorFormatError, InvalidWorkflowError
from nodegraph.graph.graph import Link
from nodegraph.workflow.editor.bypass import BypassedNode
from nodegraph.workflow.editor.document import (
    BYPASS,
    INPUT_SIDE,
    NEVER,
    Document,
    EditorNode,
    Slot,
    Wire,
)
from nodegraph.workflow.editor.scopes import GETTERS, PRIMITIVES, Scope, runs
from nodegraph.workflow.editor.shapes import Shapes
from nodegraph.workflow.editor.undescribed import WidgetValues
from nodegraph.workflow.editor.widgets import own_value


@dataclass(frozen=True, slots=True)
class Value:
    """A literal that a widget elsewhere gives to an input."""

    value: object


@dataclass(frozen=True, slots=True)
class _At:
    """An end of a link, in its scope."""

    scope: Scope
    wire: Wire


class Tracer:
    """Follows the links of one workflow."""

    def __init__(self, document: Document, shapes: Shapes, values: WidgetValues) -> None:
        self._document = document
        self._shapes = shapes
        self._values = values
        self._found: dict[tuple[str, Wire], Link | Value | None] = {}
        self._bypassed: dict[tuple[str, str], BypassedNode] = {}
        self._firsts: dict[tuple[str, int], Value | None] = {}

    def source(self, scope: Scope, node: EditorNode, slot: Slot) -> Link | Value | None:
        """Return the link or value that feeds an input of a node; None if nothing does.

        Raises:
            InvalidWorkflowError: the links lead back to themselves without any node that runs.
        """
        at: _At | Link | Value | None = self._enter(scope, slot)
        path: dict[tuple[str, Wire], None] = {}
        while isinstance(at, _At):
            step = at.scope.prefix, at.wire
            if step in path:
                message = f"its input {slot.name!r} is linked in a loop of reroutes or bypasses."
                problem = EditorFormatError(message, node_id=scope.id_of(node))
                raise InvalidWorkflowError([problem])
            if step in self._found:
                at = self._found[step]
                break
            path[step] = None
            at = self._back(at)
        self._found |= dict.fromkeys(path, at)
        return at

    def _enter(self, scope: Scope, slot: Slot | None) -> _At | None:
        """Return the link of an input."""
        if slot is None or slot.link is None:
            return None
        return _At(scope, scope.canvas.links[slot.link])

    def _back(self, at: _At) -> _At | Link | Value | None:
        """Go one step from the origin of a link towards its source."""
        scope, wire = at.scope, at.wire
        if wire.origin == INPUT_SIDE:
            return self._outwards(scope, wire)
        node = scope.canvas.nodes[wire.origin]
        if not runs(node):
            return self._past(scope, node, wire)
        inner = self._document.subgraphs.get(node.type_name)
        if inner is None:
            return Link(scope.id_of(node), wire.origin_slot)
        link = inner.to_outputs.get(wire.origin_slot)
        return link and _At(scope.inside(node, inner), link)

    def _past(self, scope: Scope, node: EditorNode, wire: Wire) -> _At | Value | None:
        """Go past a node that does not run: a reroute passes its input on, a primitive has a value.

        The editor writes that value into the widget at the end of the link, even if the
        primitive is muted; so it reaches no further than one link.
        """
        if node.type_name in PRIMITIVES:
            target = scope.canvas.nodes.get(wire.target)
            return Value(own_value(node)) if target and runs(target) else None
        if node.mode == NEVER:
            return None
        if node.mode == BYPASS:
            return self._enter(scope, self._bypass_input(scope, node, wire.origin_slot))
        if node.type_name in GETTERS:
            return self._follow_setter(scope, str(own_value(node)))
        return self._enter(scope, node.inputs[0] if node.inputs else None)

    def _follow_setter(self, scope: Scope | None, name: str) -> _At | None:
        """Return the link that a set node names, on this canvas or on those around it."""
        while scope is not None:
            node = scope.setters.get(name)
            if node is not None:
                return self._enter(scope, node.inputs[0] if node.inputs else None)
            scope = scope.outer
        return None

    def _outwards(self, scope: Scope, wire: Wire) -> _At | Value | None:
        """Go from inside a subgraph to the link of its node, or to the value that node holds."""
        host, outer, inputs = scope.host, scope.outer, scope.canvas.inputs
        if host is None or outer is None or not 0 <= wire.origin_slot < len(inputs):
            return None
        name = inputs[wire.origin_slot].name
        if name in scope.linked_inputs:
            return self._enter(outer, scope.linked_inputs[name])
        if name in scope.held_values:
            return Value(scope.held_values[name])
        key = scope.prefix, wire.origin_slot
        if key not in self._firsts:
            self._firsts[key] = self._first_inside(scope, wire.origin_slot)
        return self._firsts[key]

    def _first_inside(self, scope: Scope, place: int) -> Value | None:
        """Return the value of the first widget that a subgraph's input feeds, at any depth."""
        while True:
            ends = (scope.canvas.end(wire) for wire in scope.canvas.from_inputs.get(place, ()))
            end = next((end for end in ends if end and end[1].widget is not None), None)
            if end is None:
                return None
            node, slot = end
            canvas = self._document.subgraphs.get(node.type_name)
            if canvas is None:
                return self._own(scope, node, slot)
            scope = scope.inside(node, canvas)
            if slot.name in scope.held_values:
                return Value(scope.held_values[slot.name])
            place = next((k for k, own in enumerate(canvas.inputs) if own.name == slot.name), -1)

    def _own(self, scope: Scope, node: EditorNode, slot: Slot) -> Value | None:
        held = self._values.of(node, scope.held_for(node))
        return Value(held[slot.widget]) if slot.widget in held else None

    def _bypass_input(self, scope: Scope, node: EditorNode, output: int) -> Slot | None:
        """Return the input that a bypassed node passes on in place of an output."""
        key = scope.prefix, node.id
        if key not in self._bypassed:
            own = node.type_name in self._document.subgraphs
            self._bypassed[key] = BypassedNode(node, None if own else self._shapes(node.type_name))
        return self._bypassed[key].input(output)
