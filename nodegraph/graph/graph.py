"""The graph as data: nodes, literals and links."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from nodegraph.errors import NodeGraphError

NodeId: TypeAlias = str


@dataclass(frozen=True, slots=True)
class Link:
    """An input that takes its value from output number `output` of node `source`."""

    source: NodeId
    output: int


@dataclass(frozen=True, slots=True)
class Node:
    """One use of a node type: its inputs are links or plain JSON values."""

    id: NodeId
    type_name: str
    inputs: Mapping[str, object]
    title: str | None = None
    version: str | None = field(default=None, compare=False)
    """The version of its type, if the file has it; see `nodegraph.validation.migrate`."""

    @property
    def sources(self) -> list[NodeId]:
        """The nodes this one reads, each once, in input order."""
        found = [value.source for value in self.inputs.values() if type(value) is Link]
        return found if len(found) <= 1 else list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by id, and the editor's own description of them where the file had one.

    `editor` is the `workflow` part of a saved image or a submitted prompt: kept, and read only
    for where node types and models come from. `remarks` say what was amiss with the file, and how
    it was read all the same. `nameless` are the nodes of unknown types whose values are lost, for
    the file has no names for them. `sent` is the JSON of the nodes in API format, as a person wrote
    it: images carry it, with whatever else stands in it.
    """

    nodes: Mapping[NodeId, Node]
    editor: Mapping[str, object] | None = field(default=None, compare=False)
    remarks: tuple[NodeGraphError, ...] = field(default=(), compare=False)
    sent: Mapping[str, object] | None = field(default=None, compare=False)
    nameless: frozenset[NodeId] = field(default=frozenset(), compare=False)
