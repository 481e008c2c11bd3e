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
    widget: Mapping[str, object] = field(default_factory=dict[str, object])
    """Hints for the editor under ComfyUI's names: step, round, multiline, display, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One output."""

    name: str
    socket: str
    is_list: bool = False


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
    cache: Caching = "content"
    preflight: str | None = None
    """`module:function`, importable without torch, called before anything is computed."""
    migrate: str | None = None
    """`module:function`, importable without torch: gives the inputs of an older version's node."""
    deprecated: bool = False
    experimental: bool = False

    @property
    def defaults(self) -> dict[str, object]:
        """The default values of the required inputs, as a newly placed node has them."""
        return {
            item.name: item.default for item in self.inputs if item.required and item.has_default
        }

    def input(self, name: str) -> InputSpec | None:
        """The input of that name, or None."""
        return next((spec for spec in self.inputs if spec.name == name), None)
