"""A node type as pure data: what a server, a validator and an editor need to know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Caching: TypeAlias = Literal["content", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """One input: its socket and the closed list of constraints that JSON can carry."""

    name: str
    socket: str
    required: bool = True
    has_default: bool = False
    default: object = None
    """The default value, as JSON."""
    choices: tuple[str, ...] | None = None
    registered: str = ""
    """The kind of names, such as `samplers`, that packs may add to the choices."""
    model_folder: str | None = None
    """The choices are the files of this model folder."""
    pairs_folder: str = ""
    """The model folder with the two files of each of `pairs`."""
    pairs: tuple[str, ...] = ()
    """Further choices, each while its two files exist; see `markers.Pairs`."""
    input_file: bool = False
    """The choices are the files of `file_folder`."""
    file_folder: Literal["input", "output"] = "input"
    """The folder; a file of the output folder is named `name [output]`."""
    suffixes: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    lazy: bool = False
    raw_link: bool = False
    """Of a link the node gets `[id of the node, number of the output]`, not the value."""
    unchecked: bool = False
    """The node itself says which values it takes; only the type of common literals is looked at."""
    template: str = ""
    """All inputs and outputs of a node with the same template carry the same socket: `socket` says
    which it may be."""
    branches: tuple["Branch", ...] = ()
    """The inputs that each of `choices` brings along; see `nodegraph.graph.dynamic_inputs`."""
    row: "Row | None" = None
    """It stands for a row of inputs, and has no value itself."""
    unchecked_link: bool = False
    """A link may carry any type: the node itself says which ones it takes."""
    widget: Mapping[str, object] = field(default_factory=dict[str, object])
    """Hints for the editor under ComfyUI's names: step, round, multiline, display, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """The inputs that one choice brings along; in a graph they are named `choice.input`."""

    key: str
    """The choice."""
    inputs: tuple[InputSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of inputs that grows as they are used; in a graph they are named `row.key`."""

    item: InputSpec
    """Each of them, under the name that the editor knows the kind by."""
    prefix: str = ""
    """The keys are `prefix0`, `prefix1`, …, unless there are `names`."""
    names: tuple[str, ...] = ()
    """The keys, in order."""
    least: int = 0
    """The number of required ones."""
    most: int = 100
    """The number of keys with the prefix."""

    @property
    def keys(self) -> tuple[str, ...]:
        """All the keys that there can be, in order."""
        return self.names or tuple(f"{self.prefix}{number}" for number in range(self.most))


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One output."""

    name: str
    socket: str
    is_list: bool = False
    template: str = ""
    """It carries the socket that is linked to the node's inputs with this template."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpec:
    """A node type without its function."""

    name: str
    display_name: str
    category: str
    description: str
    module: str
    version: str = "1.0"
    revision: str = ""
    """The hash of its code: if it changes, cached results of the type are no longer used."""
    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    open_inputs: str = ""
    """The socket of further inputs, under any name; none if it is empty."""
    hidden: tuple[str, ...] = ()
    """Those of `prompt`, `extra_pnginfo` and `unique_id` that the editor must send along."""
    output_node: bool = False
    input_is_list: bool = False
    checks_inputs: bool = False
    """The node type checks its inputs itself; its pack has to be imported for that."""
    runs_empty: bool = False
    """Where it is given nothing but empty lists, it is called once, without them."""
    cache: Caching = "content"
    preflight: str | None = None
    """`module:function`, importable without torch, called before anything is computed."""
    migrate: str | None = None
    """`module:function`, importable without torch: gives the inputs of an older version's node."""
    deprecated: bool = False
    experimental: bool = False
    gives_way: bool = False
    """A stand-in: a type of the same name in another pack takes its place."""

    def input(self, name: str) -> InputSpec | None:
        """The declared input of that name, or None."""
        return next((spec for spec in self.inputs if spec.name == name), None)
