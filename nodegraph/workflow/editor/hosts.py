"""The values that a subgraph's node holds for the inputs inside."""

from collections.abc import Mapping

from nodegraph.workflow.editor.document import Canvas
from nodegraph.workflow.editor.scopes import Scope


class Hosts:
    """Looks up what the nodes of subgraphs hold."""

    def value(self, scope: Scope, name: str) -> tuple[object] | None:
        """What the node of a scope holds for the subgraph's input `name`; None if nothing.

        Args:
            scope: inside the subgraph.
            name: an input of the subgraph that is drawn as a widget.
        """
        host = scope.host
        if host is None:
            return None
        if isinstance(host.values, Mapping):
            return (host.values[name],) if name in host.values else None
        if "proxyWidgets" in host.properties:
            return None
        drawn = _drawn_inputs(scope.canvas)
        place = drawn.get(name)
        if place is None or place >= len(host.values):
            return None
        return (host.values[place],)


def _drawn_inputs(canvas: Canvas) -> dict[str, int]:
    """The inputs of a subgraph that are drawn as widgets, by name, with their place."""
    names = [slot.name for k, slot in enumerate(canvas.inputs) if _is_widget(canvas, k)]
    return {name: place for place, name in enumerate(names)}


def _is_widget(canvas: Canvas, place: int) -> bool:
    ends = (canvas.end(wire) for wire in canvas.from_inputs.get(place, ()))
    return any(end is not None and end[1].widget is not None for end in ends)
