"""An explanation of a workflow before it runs, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from nodegraph.errors import NodeGraphError
from nodegraph.files.sources import ModelSummary
from nodegraph.graph.graph import NodeId

Status: TypeAlias = Literal["runs", "repeats", "on_demand", "not_needed"]
"""A node runs; takes the result of an equal node; runs only if a lazy input asks for it; or is
needed by no output."""


class Source(NamedTuple):
    """The output that an input is linked to."""

    input: str
    node: NodeId
    output: str
    """The output's name, or its number if the type of the node is unknown."""
    socket: str
    """The type of the value; empty if it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedNode:
    """One node."""

    id: NodeId
    type_name: str
    title: str
    status: Status
    repeats: NodeId | None
    """The node whose result this one takes."""
    sources: tuple[Source, ...]
    steps: int | None
    """The steps that its inputs ask for; None if they ask for none, or if that is a link."""
    steps_linked: bool
    layer: int
    """The column of the drawing: sources are in smaller ones, except those that close a loop."""
    critical: bool
    """True on the critical path."""
    broken: bool
    """True if there is a problem with it."""

    @property
    def cost(self) -> int:
        """Its share of the critical path: 1 and its steps; nothing if it repeats another."""
        return 0 if self.status == "repeats" else 1 + (self.steps or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedFile:
    """One file that inputs name."""

    folder: str
    """The model folder; `input` or `output` for other files."""
    name: str
    nodes: tuple[NodeId, ...]
    path: Path | None = None
    """The local file; None if there is none."""
    size: int = 0
    """Bytes: of all files of a folder, of all shards of a set."""
    is_model: bool = False
    model: ModelSummary | None = None
    device: str = ""
    """The device it would compute on; empty for files that are not models."""
    note: str = ""
    """The reason why something about it is not known."""


class ResultPlace(NamedTuple):
    """A place where runs keep results for later ones."""

    place: str
    """`host`, `disk`, or the type of the accelerator."""
    setting: str
    """The setting that limits it."""
    limit: str
    """The limit in words."""
    entries: int | None = None
    """The results that are there already; None if a process has them, which is another one."""
    nbytes: int | None = None
    """Their bytes; likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A workflow, explained."""

    nodes: Mapping[NodeId, ExplainedNode]
    """The nodes in the order of execution; those that are not needed come last."""
    targets: tuple[NodeId, ...]
    critical_path: tuple[NodeId, ...]
    """The nodes of the critical path; empty if nothing can run, as in a graph with a loop."""
    files: tuple[ExplainedFile, ...]
    device: str
    problems: tuple[NodeGraphError, ...]
    warnings: tuple[NodeGraphError, ...]
    results: tuple[ResultPlace, ...] = ()
    """The places where results are kept, the fastest first."""
    servers: tuple[str, ...] = ()
    """The ComfyUI servers that would run it; our own workers if there are none."""
    why: str = ""
    """The reason for that; empty if no server was named."""

    @property
    def length(self) -> int:
        """The cost of all nodes on the critical path."""
        return sum(self.nodes[node_id].cost for node_id in self.critical_path)

    def with_status(self, status: Status) -> list[ExplainedNode]:
        """Return the nodes of one status, in the order of execution."""
        return [node for node in self.nodes.values() if node.status == status]
