"""The values that a subgraph's node holds for the nodes inside.

Such a node draws some of the widgets inside as its own: those that the subgraph's inputs lead to,
or those listed in its property `proxyWidgets`, a list of `[node inside, widget]`, where the node
`-1` stands for the subgraph's own input.
"""

from collections.abc import Iterable, Mapping, Sequence

from nodegraph.graph.graph import NodeId
from nodegraph.graph.json_values import is_list
from nodegraph.workflow.editor.document import Canvas, EditorNode

_PROXIES = "proxyWidgets"
_OWN = "-1"
_PICTURE = "$$"
"""The prefix of widget names that are pictures only and hold no value."""


def by_node(host: EditorNode) -> Mapping[NodeId, Mapping[str, object]]:
    """Return the values that a host holds by `proxyWidgets`, by inner node and widget."""
    given = host.properties.get(_PROXIES)
    pairs = [item for item in given if is_list(item) and len(item) > 1] if is_list(given) else []
    owners = [(str(item[0]), str(item[1])) for item in pairs]
    drawn = [owner for owner in owners if not owner[1].startswith(_PICTURE)]
    values = [*host.values.values()] if isinstance(host.values, Mapping) else host.values
    found: dict[NodeId, dict[str, object]] = {}
    for (node_id, widget), value in zip(drawn, values, strict=False):
        if value is not None:  # Else the node inside has the value that its author saw.
            found.setdefault(node_id, {})[widget] = value
    return found


def by_input(canvas: Canvas, host: EditorNode) -> Mapping[str, object]:
    """Return the values of a host by the subgraph's inputs."""
    if isinstance(host.values, Mapping):
        return host.values
    if _PROXIES not in host.properties:
        return dict(zip(_drawn_inputs(canvas), host.values, strict=False))
    proxied = by_node(host)
    found: dict[str, object] = {}
    for place, slot in enumerate(canvas.inputs):
        for node_id, widget in ((_OWN, slot.name), *_fed_widgets(canvas, place)):
            if widget in proxied.get(node_id, {}):
                found.setdefault(slot.name, proxied[node_id][widget])
    return found


def _fed_widgets(canvas: Canvas, place: int) -> Iterable[tuple[NodeId, str]]:
    """Return the inner widgets that a subgraph's input feeds: the node and the widget."""
    for wire in canvas.from_inputs.get(place, ()):
        end = canvas.end(wire)
        if end is not None and end[1].widget is not None:
            yield end[0].id, end[1].widget


def _drawn_inputs(canvas: Canvas) -> Sequence[str]:
    """Return the inputs of a subgraph that are drawn as widgets, in order."""
    return [
        slot.name for place, slot in enumerate(canvas.inputs) if any(_fed_widgets(canvas, place))
    ]
