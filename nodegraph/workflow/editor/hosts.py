"""The values that a subgraph's node holds for the nodes inside.

Such a node draws some of the widgets inside as its own. Which these are, the subgraph's inputs
say, as far as they lead to widgets; or `proxyWidgets` of the node's properties, a list of
`[node inside, widget]`, where the node `-1` stands for the subgraph's own input.
"""

from collections.abc import Iterable, Mapping, Sequence

from nodegraph.plain import is_list
from nodegraph.workflow.editor.document import Canvas, EditorNode
from nodegraph.workflow.editor.scopes import Scope

_OWN = "-1"
_PICTURE = "$$"
"""What the names of drawn things begin with that hold no value."""


def held_for(scope: Scope, node: EditorNode) -> Mapping[str, object]:
    """What the scope's host holds for the widgets of a node inside, by widget."""
    host = scope.host
    if host is None or "proxyWidgets" not in host.properties:
        return {}
    held = _proxied(host)
    return {widget: value for (owner, widget), value in held.items() if owner == node.id}


def held_for_input(scope: Scope, name: str) -> tuple[object] | None:
    """What the scope's host holds for the subgraph's input `name`; None if nothing."""
    host, outer = scope.host, scope.outer
    if host is None or outer is None:
        return None
    held = {**_by_input(scope.canvas, host), **held_for(outer, host)}
    return (held[name],) if name in held else None


def _by_input(canvas: Canvas, host: EditorNode) -> Mapping[str, object]:
    """The values of a host by the subgraph's inputs."""
    if isinstance(host.values, Mapping):
        return host.values
    if "proxyWidgets" not in host.properties:
        return dict(zip(_drawn_inputs(canvas), host.values, strict=False))
    proxied = _proxied(host)
    found: dict[str, object] = {}
    for place, slot in enumerate(canvas.inputs):
        for owner in ((_OWN, slot.name), *_fed(canvas, place)):
            if owner in proxied:
                found.setdefault(slot.name, proxied[owner])
    return found


def _proxied(host: EditorNode) -> Mapping[tuple[str, str], object]:
    """The values of a host by the node inside and its widget."""
    given = host.properties.get("proxyWidgets")
    pairs = [item for item in given if is_list(item) and len(item) > 1] if is_list(given) else []
    owners = [(str(item[0]), str(item[1])) for item in pairs]
    drawn = [owner for owner in owners if not owner[1].startswith(_PICTURE)]
    values = [*host.values.values()] if isinstance(host.values, Mapping) else host.values
    return dict(zip(drawn, values, strict=False))


def _fed(canvas: Canvas, place: int) -> Iterable[tuple[str, str]]:
    """The widgets inside that a subgraph's input feeds: the node and the widget."""
    for wire in canvas.from_inputs.get(place, ()):
        end = canvas.end(wire)
        if end is not None and end[1].widget is not None:
            yield end[0].id, end[1].widget


def _drawn_inputs(canvas: Canvas) -> Sequence[str]:
    """The inputs of a subgraph that are drawn as widgets, in order."""
    return [slot.name for place, slot in enumerate(canvas.inputs) if any(_fed(canvas, place))]
