"""Where each node stands in a drawing: layers from left to right, and few links that cross.

The method of Sugiyama, Tagawa and Toda (1981): links that skip layers pass through lanes, each
layer is ordered by the mean position of what it is linked to, and then moved as close to that
as the order and the distances allow (least squares by pooling adjacent violators).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from nodegraph.graph.graph import NodeId

BOX_WIDTH = 250.0
BOX_HEIGHT = 66.0
GAP = 22.0
"""The distance between two nodes of a layer."""
LANE = 14.0
"""The width of a link that passes through a layer."""
COLUMN = BOX_WIDTH + 76.0
"""The distance from one layer to the next."""
_MOST_LANES = 20_000
"""The most lanes; with more, links are drawn straight, and run behind nodes."""
_ORDERINGS = 12
_PLACINGS = 16


class Wire(NamedTuple):
    """Where links come from: a node, and the type of the value; such links share their way."""

    source: NodeId
    socket: str


class Lane(NamedTuple):
    """Where the links of a wire pass through a layer."""

    wire: Wire
    layer: int


Slot: TypeAlias = NodeId | Lane


class Point(NamedTuple):
    """A place in the drawing, in pixels."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of boxes, and the ways of links."""

    boxes: Mapping[NodeId, Point]
    """Their upper left corners."""
    width: float
    height: float
    lanes: Mapping[Lane, float]
    """The heights at which links pass through layers."""

    def trunk(self, wire: Wire, before: int | None = None) -> list[Point]:
        """Return the points that all links of a wire share, from a box's right through the lanes.

        Args:
            wire: the wire.
            before: only the lanes of smaller layers than this one.
        """
        points = [self._exit(wire.source)]
        layer = round(self.boxes[wire.source].x / COLUMN) + 1
        while layer != before and Lane(wire, layer) in self.lanes:
            y = self.lanes[Lane(wire, layer)]
            points += [Point(layer * COLUMN, y), Point(layer * COLUMN + BOX_WIDTH, y)]
            layer += 1
        return points

    def branch(self, wire: Wire, reader: NodeId) -> list[Point]:
        """Return the points of one link alone, from the last lane, or the source, to a box."""
        end = self.boxes[reader]
        layer = round(end.x / COLUMN) - 1
        y = self.lanes.get(Lane(wire, layer))
        start = self._exit(wire.source) if y is None else Point(layer * COLUMN + BOX_WIDTH, y)
        return [start, Point(end.x, end.y + BOX_HEIGHT / 2)]

    def way(self, wire: Wire, reader: NodeId) -> list[Point]:
        """Return all points that a link passes."""
        trunk = self.trunk(wire, round(self.boxes[reader].x / COLUMN))
        return [*trunk, self.branch(wire, reader)[1]]

    def _exit(self, node_id: NodeId) -> Point:
        x, y = self.boxes[node_id]
        return Point(x + BOX_WIDTH, y + BOX_HEIGHT / 2)


@dataclass(slots=True)
class _Layers:
    """The slots of every layer, and which slots of neighbouring layers are linked."""

    slots: list[list[Slot]]
    before: dict[Slot, dict[Slot, None]] = field(default_factory=dict["Slot", "dict[Slot, None]"])
    after: dict[Slot, dict[Slot, None]] = field(default_factory=dict["Slot", "dict[Slot, None]"])

    def link(self, left: Slot, right: Slot) -> None:
        """Note that two slots are linked."""
        self.after.setdefault(left, {})[right] = None
        self.before.setdefault(right, {})[left] = None


def lay_out(depth: Mapping[NodeId, int], wires: Mapping[NodeId, Sequence[Wire]]) -> Layout:
    """Place nodes whose layers are known.

    Args:
        depth: the layer of every node.
        wires: what each node reads from smaller layers.
    """
    layers = _layers(depth, wires)
    _order(layers)
    heights = _place(layers)
    top = min(heights.values(), default=0.0)
    boxes: dict[NodeId, Point] = {}
    lanes: dict[Lane, float] = {}
    for slot, y in heights.items():
        if isinstance(slot, Lane):
            lanes[slot] = y - top + LANE / 2
        else:
            boxes[slot] = Point(depth[slot] * COLUMN, y - top)
    low = [point.y + BOX_HEIGHT for point in boxes.values()] + [*lanes.values(), 0.0]
    width = max(len(layers.slots) * COLUMN - (COLUMN - BOX_WIDTH), 0.0)
    return Layout(boxes, width, max(low), lanes)


def _layers(depth: Mapping[NodeId, int], wires: Mapping[NodeId, Sequence[Wire]]) -> _Layers:
    layers = _Layers([[] for _ in range(max(depth.values(), default=-1) + 1)])
    for node_id, layer in depth.items():
        layers.slots[layer].append(node_id)
    lanes = _lanes(depth, wires)
    for lane in lanes:
        layers.slots[lane.layer].append(lane)
        before = Lane(lane.wire, lane.layer - 1)
        layers.link(before if before in lanes else lane.wire.source, lane)
    for node_id, found in wires.items():
        for wire in found:
            before = Lane(wire, depth[node_id] - 1)
            if before in lanes:
                layers.link(before, node_id)
            elif depth[wire.source] == before.layer:
                layers.link(wire.source, node_id)
    return layers


def _lanes(depth: Mapping[NodeId, int], wires: Mapping[NodeId, Sequence[Wire]]) -> dict[Lane, None]:
    """Return the lanes of all wires up to their farthest readers; none if there are too many."""
    ends: dict[Wire, int] = {}
    for node_id, found in wires.items():
        for wire in found:
            ends[wire] = max(ends.get(wire, 0), depth[node_id])
    spans = {wire: range(depth[wire.source] + 1, end) for wire, end in ends.items()}
    if sum(map(len, spans.values())) > _MOST_LANES:
        return {}
    return {Lane(wire, layer): None for wire, span in spans.items() for layer in span}


def _order(layers: _Layers) -> None:
    """Order each layer by the mean position of its neighbours, to and fro."""
    position: dict[Slot, float] = {}
    for layer in layers.slots:
        _number(layer, position)
    for turn in range(_ORDERINGS):
        near = layers.after if turn % 2 else layers.before
        for layer in reversed(layers.slots) if turn % 2 else layers.slots:
            wanted = {slot: _mean(slot, near, position) for slot in layer}
            layer.sort(key=wanted.__getitem__)
            _number(layer, position)


def _number(layer: Sequence[Slot], position: dict[Slot, float]) -> None:
    """Note where the slots of a layer stand: from 0 to 1, in the middle if there is one."""
    position.update({slot: (k + 0.5) / len(layer) for k, slot in enumerate(layer)})


def _mean(slot: Slot, near: Mapping[Slot, Iterable[Slot]], values: Mapping[Slot, float]) -> float:
    """Return the mean value of what a slot is linked to; its own if that is nothing."""
    found = [values[other] for other in near.get(slot, ())]
    return sum(found) / len(found) if found else values[slot]


def _place(layers: _Layers) -> dict[Slot, float]:
    """Return the heights of all slots: close to their neighbours, none closer than it may be."""
    heights: dict[Slot, float] = {}
    for layer in layers.slots:
        offsets = _offsets(layer)
        middle = offsets[-1] / 2 if offsets else 0.0
        heights.update({slot: y - middle for slot, y in zip(layer, offsets, strict=True)})
    for turn in range(_PLACINGS):
        near = layers.after if turn % 2 else layers.before
        for layer in reversed(layers.slots) if turn % 2 else layers.slots:
            wanted = [_mean(slot, near, heights) for slot in layer]
            heights.update(zip(layer, _spread(wanted, _offsets(layer)), strict=True))
    return {slot: y - _half(slot) for slot, y in heights.items()}


def _half(slot: Slot) -> float:
    return (LANE if isinstance(slot, Lane) else BOX_HEIGHT) / 2


def _offsets(layer: Sequence[Slot]) -> list[float]:
    """Return the least distances of the middles of a layer's slots from that of the first."""
    offsets: list[float] = []
    for k, slot in enumerate(layer):
        before = layer[k - 1] if k else slot
        boxes = not (isinstance(slot, Lane) and isinstance(before, Lane))
        gap = _half(before) + _half(slot) + (GAP if boxes else 0)
        offsets.append(offsets[-1] + gap if k else 0.0)
    return offsets


def _spread(wanted: Sequence[float], offsets: Sequence[float]) -> list[float]:
    """Return the heights nearest to those wanted that are as far apart as the offsets say.

    Without the offsets they only have to ascend: neighbours that do not are pooled, and take
    their mean.
    """
    pools: list[tuple[float, int]] = []
    for height, offset in zip(wanted, offsets, strict=True):
        total, count = height - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before, more = pools.pop()
            total, count = total + before, count + more
        pools.append((total, count))
    level = [total / count for total, count in pools for _ in range(count)]
    return [height + offset for height, offset in zip(level, offsets, strict=True)]
