"""Graphs that try a node type: its defaults, small values on its links, and uses of its outputs."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph, Link, Node, NodeId
from nodegraph.graph.sockets import ANY
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.packs.object_info import choices_of

_SIDE = 48
_CHECKPOINT = "demo-shapes.safetensors"
_SMALL: Mapping[str, int] = {"width": _SIDE, "height": _SIDE, "steps": 2}
"""Values in place of larger defaults, by the input's name."""
MAKER = "maker "
"""The beginning of the ids of the pack's nodes that make values for the one that is tried."""
_DEEPEST = 4
"""The most nodes of the pack in a row that make a value."""

_FROM: Mapping[str, tuple[str, int, Mapping[str, object]]] = {
    "IMAGE": ("EmptyImage", 0, {"width": _SIDE, "height": _SIDE, "color": 0x3366CC}),
    "MASK": ("SolidMask", 0, {"width": _SIDE, "height": _SIDE}),
    "LATENT": ("EmptyLatentImage", 0, {"width": _SIDE, "height": _SIDE}),
    "MODEL": ("CheckpointLoaderSimple", 0, {"ckpt_name": _CHECKPOINT}),
    "CLIP": ("CheckpointLoaderSimple", 1, {"ckpt_name": _CHECKPOINT}),
    "VAE": ("CheckpointLoaderSimple", 2, {"ckpt_name": _CHECKPOINT}),
    "CONDITIONING": ("CLIPTextEncode", 0, {"text": "a red circle"}),
    "SAMPLER": ("KSamplerSelect", 0, {"sampler_name": "euler"}),
    "SIGMAS": ("BasicScheduler", 0, {"scheduler": "normal", "steps": 2}),
    "NOISE": ("RandomNoise", 0, {}),
    "GUIDER": ("CFGGuider", 0, {}),
    "AUDIO": ("EmptyAudio", 0, {"duration": 0.1}),
    "VIDEO": ("CreateVideo", 0, {}),
    "INT": ("PrimitiveInt", 0, {"value": 3}),
    "FLOAT": ("PrimitiveFloat", 0, {"value": 0.5}),
    "STRING": ("PrimitiveString", 0, {"value": "a red circle"}),
    "BOOLEAN": ("PrimitiveBoolean", 0, {"value": True}),
    ANY: ("PrimitiveInt", 0, {"value": 3}),
}
"""The node that makes the value of a socket: its type, the output, and values of its own."""

_USES: Mapping[str, Sequence[tuple[str, str]]] = {
    "IMAGE": [("PreviewImage", "images")],
    "MASK": [("MaskPreview", "mask")],
    "MODEL": [("KSampler", "model"), ("PreviewAny", "source")],
    "CLIP": [("CLIPTextEncode", "clip"), ("PreviewAny", "source")],
    "VAE": [("VAEEncode", "vae"), ("PreviewAny", "source")],
    "CONDITIONING": [("KSampler", "positive"), ("PreviewAny", "source")],
    "SAMPLER": [("SamplerCustomAdvanced", "sampler"), ("PreviewAny", "source")],
    "NOISE": [("SamplerCustomAdvanced", "noise"), ("PreviewAny", "source")],
    "GUIDER": [("SamplerCustomAdvanced", "guider"), ("PreviewAny", "source")],
}
"""The nodes that use a value, one after another, and the input that takes it."""


class NotTriedError(NodeGraphError):
    """A node type can not be tried here: it needs a file or a value that nothing makes."""

    code = "not_tried"

    def __init__(self, reason: str) -> None:
        super().__init__(f"It was not tried: {reason}.", details={"reason": reason})
        self.reason = reason


@dataclass(frozen=True, slots=True)
class TrialGraphs:
    """Makes the graphs.

    Args:
        catalog: all node types.
        files: the folders with the files to choose from.
        own: the names of the pack's node types, which may make values for each other.
    """

    catalog: Mapping[str, NodeSpec]
    files: Files
    own: Sequence[str]

    def of(self, type_name: str, without: Container[str] = ()) -> Graph:
        """Return the graph of one node type, which is node "1".

        Args:
            type_name: the node type.
            without: node types of the pack that make no values in it.

        Raises:
            NotTriedError: it needs a file that is not there, or a value that nothing makes.
        """
        draft = _Draft(self, without)
        draft.add("1", type_name, {}, (type_name,))
        for number, output in enumerate(self.catalog[type_name].outputs):
            draft.use(Link("1", number), output.socket)
        return Graph(draft.nodes)

    def targets(self, graph: Graph) -> list[NodeId]:
        """Return the nodes to run: the one that is tried, and those that use its outputs."""
        return [each for each in graph.nodes if each.isdecimal()]


@dataclass(slots=True)
class _Draft:
    """A graph that is being made."""

    room: TrialGraphs
    without: Container[str]
    nodes: dict[NodeId, Node] = field(default_factory=dict[NodeId, Node])
    made: dict[str, Link] = field(default_factory=dict[str, Link])
    """The link that carries each socket already."""

    def add(
        self, own_id: str, type_name: str, values: Mapping[str, object], above: tuple[str, ...]
    ) -> None:
        """Add a node with all its required inputs, and its optional widgets, as the editor does."""
        spec = self.room.catalog[type_name]
        inputs = dict(values)
        for item in inputs_for(spec.inputs, values):
            if item.name in inputs:
                continue
            if item.required:
                inputs[item.name] = self._value(item, above)
            elif "default" in item.widget and not item.widget.get("forceInput"):
                inputs[item.name] = item.widget["default"]
        self.nodes[own_id] = Node(own_id, type_name, inputs)

    def use(self, link: Link, socket: str) -> None:
        """Add the nodes that use an output."""
        for type_name, name in _USES.get(socket, [("PreviewAny", "source")]):
            place = str(len(self.nodes) + 1)
            values = {name: link} | ({"steps": 1} if type_name == "KSampler" else {})
            self.nodes[place] = Node(place, type_name, {})  # keeps the id
            self.add(place, type_name, values, ())
            link = Link(place, 0)

    def _value(self, item: InputSpec, above: tuple[str, ...]) -> object:
        small = _SMALL.get(item.name) if item.socket == "INT" else None
        if small is not None and item.has_default:
            return max(small, int(item.minimum or 0))
        if item.has_default and not self._is_missing(item):
            return item.default
        if item.choices is not None or item.model_folder or item.input_file:
            return self._choice(item)
        literal = None if item.widget.get("forceInput") else _literal(item)
        return self._link(item.socket, above) if literal is None else literal

    def _is_missing(self, item: InputSpec) -> bool:
        """Return True for a default that is not among the choices."""
        if item.unchecked:
            return False
        choices = choices_of(item, self.room.files)
        return choices is not None and item.default not in choices

    def _choice(self, item: InputSpec) -> str:
        choices = choices_of(item, self.room.files) or ()
        if choices:
            return _CHECKPOINT if _CHECKPOINT in choices else choices[0]
        folder = item.model_folder or (item.file_folder if item.input_file else "")
        raise NotTriedError(
            f"there is no file in the folder {folder!r}, for its input {item.name!r}"
            if folder
            else f"its input {item.name!r} has no choices"
        )

    def _link(self, socket: str, above: tuple[str, ...]) -> Link:
        for each in (part.strip() for part in socket.split(",")):
            if each in self.made:
                return self.made[each]
            if each in _FROM:
                return self._made_by_ours(each, above)
        return self._made_by_pack(socket, above)

    def _made_by_ours(self, socket: str, above: tuple[str, ...]) -> Link:
        type_name, output, values = _FROM[socket]
        same = (
            each.id
            for each in self.nodes.values()
            if each.type_name == type_name
            and each.id in {link.source for link in self.made.values()}
        )
        place = next(same, None) if type_name == "CheckpointLoaderSimple" else None
        if place is None:
            place = f"{socket.lower()} {len(self.nodes)}"
            self.add(place, type_name, values, above)
        self.made[socket] = Link(place, output)
        return self.made[socket]

    def _made_by_pack(self, socket: str, above: tuple[str, ...]) -> Link:
        reason = f"nothing here makes a {socket}"
        for type_name, output in self._makers(socket):
            if type_name in above or type_name in self.without or len(above) >= _DEEPEST:
                continue
            before, made = dict(self.nodes), dict(self.made)
            place = f"{MAKER}{len(self.nodes)}"
            try:
                self.add(place, type_name, {}, (*above, type_name))
            except NotTriedError as error:
                self.nodes, self.made = before, made
                reason = f"{reason}: of {type_name!r}, {error.reason}"
                continue
            self.made[socket] = Link(place, output)
            return self.made[socket]
        raise NotTriedError(reason)

    def _makers(self, socket: str) -> Iterator[tuple[str, int]]:
        """Yield the pack's node types with such an output, those with the fewest links first."""
        found = [
            (len([item for item in spec.inputs if item.required and not item.has_default]), name, k)
            for name in self.room.own
            for spec in [self.room.catalog[name]]
            for k, output in enumerate(spec.outputs)
            if output.socket == socket
        ]
        for _, name, output in sorted(found):
            yield name, output


def _literal(item: InputSpec) -> object:
    """Return a literal for a widget without a default; None for what has to be linked."""
    least = item.minimum or 0
    literals: Mapping[str, object] = {
        "INT": int(least),
        "FLOAT": float(least),
        "STRING": "a red circle",
        "BOOLEAN": False,
    }
    return literals.get(item.socket)
