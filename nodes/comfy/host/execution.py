"""`comfy_execution`: builders of the graphs that nodes expand to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from nodegraph.definition.context import Context
from nodegraph.graph.graph import Link
from nodegraph.graph.json_values import is_list
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import ExecutionBlocker as ExecutionBlocker
from nodes.comfy.values.convert import to_pack


def is_link(value: object) -> bool:
    """Return True if an input is a link: [node, number]."""
    if not is_list(value) or len(value) != 2:
        return False
    return isinstance(value[0], str) and type(value[1]) in (int, float)


class Node:
    """One node of a graph that is being built."""

    def __init__(self, id: str, class_type: str, inputs: dict[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = inputs
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """Return a link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: object) -> None:
        """Set an input; None removes it."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> object:
        """Return an input."""
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """Do nothing: in the editor the expanding node always stands for it."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """Return the node in API format."""
        return {"class_type": self.class_type, "inputs": self.inputs}


class GraphBuilder:
    """Builds a graph for `expand`.

    Args:
        prefix: the beginning of its nodes' ids; if None, one that sets them apart from all others.
    """

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = runtime.next_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self._ids = count(1)

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """Return a new node, or the one with this id."""
        key = self.prefix + (str(next(self._ids)) if id is None else id)
        if key not in self.nodes:
            self.nodes[key] = Node(key, class_type, kwargs)
        return self.nodes[key]

    def lookup_node(self, id: str) -> Node | None:
        """Return the node with this id."""
        return self.nodes.get(self.prefix + id)

    def finalize(self) -> dict[str, Any]:
        """Return the graph in API format."""
        return {key: node.serialize() for key, node in self.nodes.items()}

    def replace_node_output(self, node_id: str, index: int, new_value: object) -> None:
        """Replace the value of every input that reads an output."""
        for node in self.nodes.values():
            for key, value in list(node.inputs.items()):
                if is_link(value) and value == [self.prefix + node_id, index]:
                    node.set_input(key, new_value)

    def remove_node(self, id: str) -> None:
        """Remove a node."""
        self.nodes.pop(self.prefix + id)


class NodeNotFoundError(Exception):
    """The graph of a run has no node of an id."""


class DynamicPrompt:
    """The graph of a run with the nodes of its expansions, as seen by nodes that expand.

    Args:
        original_prompt: the graph as it was submitted, in API format.
        running: the node that looks at it.
    """

    def __init__(self, original_prompt: Mapping[str, Any], running: Context) -> None:
        self.original_prompt = original_prompt
        self._running = running

    def get_node(self, node_id: str) -> Mapping[str, Any]:
        """Return a node in API format.

        Raises:
            NodeNotFoundError: there is none.
        """
        if node_id in self.original_prompt:
            return cast("Mapping[str, Any]", self.original_prompt[node_id])
        found = self._running.node(node_id)
        if found is None:
            message = f"Node {node_id} is not in the graph."
            raise NodeNotFoundError(message)
        inputs = {name: _in_api_format(value) for name, value in found.inputs.items()}
        return {"class_type": found.type_name, "inputs": inputs}

    def has_node(self, node_id: str) -> bool:
        """Return True if the node exists."""
        return node_id in self.original_prompt or self._running.node(node_id) is not None

    def all_node_ids(self) -> set[str]:
        """Return the ids of all submitted nodes."""
        return set(self.original_prompt)

    def get_original_prompt(self) -> Mapping[str, Any]:
        """Return the whole graph."""
        return self.original_prompt

    def get_parent_node_id(self, node_id: str) -> str | None:
        """Return the node that expanded to this one; None for a submitted node."""
        parents = [node_id[:k] for k, letter in enumerate(node_id) if letter == "."]
        return next((parent for parent in reversed(parents) if self.has_node(parent)), None)

    def get_display_node_id(self, node_id: str) -> str:
        """Return the node that stands for this one in the editor."""
        return self._running.shown_as(node_id)

    def get_real_node_id(self, node_id: str) -> str:
        """Return the submitted node that this one comes from."""
        return self._running.shown_as(node_id)


def _in_api_format(value: object) -> object:
    """Return a node's input as packs see it: a link as [node, number]."""
    return [value.source, value.output] if isinstance(value, Link) else to_pack(value)


@dataclass(frozen=True, slots=True)
class ExecutionContext:
    """The running node."""

    prompt_id: str
    node_id: str
    list_index: int | None = field(default=None)


def get_executing_context() -> ExecutionContext | None:
    """Return the node that runs in this thread."""
    running = runtime.context()
    return ExecutionContext(running.run_id, running.node_id) if running else None
