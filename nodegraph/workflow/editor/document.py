"""The editor's file as data: canvases of nodes and links, and the subgraphs they use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nodegraph.errors import NodeGraphError
from nodegraph.graph.graph import NodeId

INPUT_SIDE: Final = "-10"
"""The node id that stands for a subgraph's inputs, as the origin of links inside it."""
OUTPUT_SIDE: Final = "-20"
"""The node id that stands for a subgraph's outputs, as the target of links inside it."""
NEVER: Final = 2
BYPASS: Final = 4


@dataclass(frozen=True, slots=True)
class Wire:
    """A link: where its value comes from and where it goes; slots are counted from 0."""

    origin: NodeId
    origin_slot: int
    target: NodeId
    target_slot: int


@dataclass(frozen=True, slots=True)
class Slot:
    """An input or output of a node as the editor draws it."""

    name: str
    type: str
    link: str | None = None
    """The id of the link that an input takes its value from."""
    widget: str | None = None
    """The widget whose value a link to this input overrides."""
    label: str | None = None
    """The name that the editor shows, if it is another."""


@dataclass(frozen=True, slots=True)
class EditorNode:
    """A node on a canvas."""

    id: NodeId
    type_name: str
    mode: int
    inputs: Sequence[Slot]
    outputs: Sequence[Slot]
    values: Sequence[object] | Mapping[str, object]
    """The values of its widgets, in their order or by their names."""
    title: str | None = None
    named_values: Mapping[str, object] = field(default_factory=dict[str, object])
    """The same values with the widgets' names, in order; newer files have them."""
    properties: Mapping[str, object] = field(default_factory=dict[str, object])
    centre: tuple[float, float] | None = None
    """The place of its middle on the canvas; None if the file does not have it."""
    colour: str | None = None

    def input(self, name: str) -> Slot | None:
        """Return the input of that name, or None."""
        return next((slot for slot in self.inputs if slot.name == name), None)


@dataclass(frozen=True, slots=True)
class Box:
    """A group as the editor draws it: a box with a title; the nodes in it are its nodes."""

    title: str
    left: float
    top: float
    width: float
    height: float

    def holds(self, node: EditorNode) -> bool:
        """Say if the middle of a node is inside, which makes it one of the group."""
        if node.centre is None:
            return False
        x, y = node.centre
        return self.left <= x < self.left + self.width and self.top <= y < self.top + self.height


@dataclass(frozen=True, slots=True)
class Canvas:
    """Nodes and the links between them: the workflow itself, or a subgraph."""

    nodes: Mapping[NodeId, EditorNode]
    links: Mapping[str, Wire]
    name: str = ""
    inputs: Sequence[Slot] = ()
    """A subgraph's own inputs; none for the workflow itself."""
    from_inputs: Mapping[int, Sequence[Wire]] = field(default_factory=dict[int, Sequence[Wire]])
    """The links inside that a subgraph's own inputs feed, by the input's place."""
    to_outputs: Mapping[int, Wire] = field(default_factory=dict[int, Wire])
    """The links inside that feed a subgraph's own outputs, by the output's place."""
    boxes: Sequence[Box] = ()
    extra: Mapping[str, object] = field(default_factory=dict[str, object])
    """The values that extensions of the editor keep in the file."""

    def end(self, wire: Wire) -> tuple[EditorNode, Slot] | None:
        """Return the node and input that a link goes to; None if either does not exist."""
        node = self.nodes.get(wire.target)
        if node is None or not 0 <= wire.target_slot < len(node.inputs):
            return None
        return node, node.inputs[wire.target_slot]


@dataclass(frozen=True, slots=True)
class Document:
    """A whole workflow file of the editor."""

    canvas: Canvas
    subgraphs: Mapping[str, Canvas]
    """The subgraphs, by the type name under which nodes use them."""
    remarks: Sequence[NodeGraphError] = ()
    """Parts that were amiss, and left out."""
    converts_widgets: bool = True
    """True if a widget's input is a socket in its place, as in editors before 1.16."""
