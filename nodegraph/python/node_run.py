"""Run one node type, or a workflow, as the engine does: checked, with a context, with events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nodegraph.definition.node import NodeType
from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.execution.call import Items
from nodegraph.execution.engine import Engine
from nodegraph.execution.events import Event
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import defaults_for, flatten
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Ui
from nodegraph.graph.sockets import ANY
from nodegraph.graph.spec import NodeSpec, OutputSpec
from nodegraph.packs.registry import Registry

TESTED = "tested"
"""The id of the node that is tested."""


@dataclass(frozen=True, slots=True)
class NodeRun:
    """The outputs of a node that was run, or the problems that kept it from running."""

    values: tuple[Any, ...] = ()
    """Its outputs; one that is a list is a tuple."""
    ui: Ui | None = None
    """The artifacts and values that it shows, if it is an output node."""
    files: Sequence[Path] = ()
    """The files that it shows."""
    events: Sequence[Event] = ()
    """The events of the run: progress, previews, notices."""
    problems: Sequence[NodeGraphError] = field(default_factory=list[NodeGraphError])
    """Everything that is wrong with its inputs; empty if it was run."""

    @property
    def value(self) -> Any:
        """The output of a node that has exactly one.

        Raises:
            InvalidWorkflowError: its inputs were refused.
        """
        if self.problems:
            raise InvalidWorkflowError(self.problems)
        (value,) = self.values
        return value


def run_node(
    kind: NodeType[..., Any], inputs: Mapping[str, object], files: Files, registry: Registry
) -> NodeRun:
    """Run a node type with these inputs: JSON values as a workflow has them, the rest as links.

    An input that is not given has its default.

    Args:
        kind: the node type.
        inputs: its inputs by name.
        files: the folders it reads and writes.
        registry: further node types, for a node that expands.

    Raises:
        NodeGraphError: the node failed.
    """
    inputs = flatten(kind.spec.inputs, inputs)
    inputs = {**defaults_for(kind.spec, inputs), **inputs}
    given = {
        name: _constant_type(name, value) for name, value in inputs.items() if not is_plain(value)
    }
    types = Registry.from_types(kind, *given.values(), also=registry)
    nodes = {name: Node(name, item.spec.name, {}) for name, item in given.items()}
    linked = {name: Link(name, 0) if name in given else value for name, value in inputs.items()}
    nodes[TESTED] = Node(TESTED, kind.spec.name, linked)
    events: list[Event] = []
    engine = Engine(types, files)
    try:
        result = engine.run(Graph(nodes), targets=[TESTED], emit=events.append)
    except InvalidWorkflowError as error:
        return NodeRun(problems=error.problems)
    ui = result.ui.get(TESTED)
    shown = [item for found in ui.artifacts.values() for item in found] if ui else []
    return NodeRun(
        tuple(tuple(v) if isinstance(v, Items) else v for v in result.outputs[TESTED]),
        ui,
        [files.path(item) for item in shown],
        [event for event in events if getattr(event, "node_id", TESTED) == TESTED],
    )


def _constant_type(name: str, value: object) -> NodeType[..., Any]:
    """Make a node type whose one output is a value that JSON can not carry."""
    spec = NodeSpec(
        name=f"given {name}",
        display_name=name,
        category="",
        description="",
        module=__name__,
        inputs=(),
        outputs=(OutputSpec(name=name, socket=ANY),),
        cache="never",
    )
    return NodeType(spec, lambda: value)
