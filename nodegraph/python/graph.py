"""`Graph`: a workflow that Python code builds, node by node."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Unpack

from nodegraph.errors import (
    InvalidPromptError,
    NodeGraphError,
    UnknownNodeTypeError,
    nearest,
    short_repr,
)
from nodegraph.graph.dynamic_inputs import defaults_for, flatten, inputs_for
from nodegraph.graph.graph import Graph as PlainGraph
from nodegraph.graph.graph import Link, Node
from nodegraph.graph.spec import NodeSpec
from nodegraph.python.methods import NodeMethods
from nodegraph.python.outputs import Out, Outs, Placed, Result, node_ids
from nodegraph.validation.migrate import pin_versions
from nodegraph.workflow.read import to_prompt

if TYPE_CHECKING:
    from nodegraph.execution.engine import Engine, RunOptions, RunResult
    from nodegraph.execution.events import Emit
    from nodegraph.packs.registry import Registry

T_co = TypeVar("T_co", covariant=True)


class Submits(Protocol[T_co]):
    """A client of a server."""

    def submit(self, workflow: Mapping[str, Any], /) -> T_co:
        """Send a workflow in API format."""
        ...


class Graph(NodeMethods):
    """A graph of nodes; every node type is a method that places one and returns its outputs.

        g = Graph()
        model, clip, vae = g.CheckpointLoaderSimple(ckpt_name="demo-shapes.safetensors")

    Inputs are given by name: an output of another node, or a plain value. `id_` and `title_`
    set the node's id (the next number if left out) and its title.

    Args:
        registry: the node types there are; those of all installed packs if None.
    """

    def __init__(self, registry: "Registry | None" = None) -> None:
        self._registry = registry
        self._nodes: dict[str, Node] = {}

    def node(
        self,
        type_name: str,
        inputs: Mapping[str, object] | None = None,
        *,
        id_: str = "",
        title_: str = "",
    ) -> Outs:
        """Place a node of any type, also of one whose name Python can not write.

        As in workflow files, inputs that the type does not have are only warned about, when
        the graph runs; the types' own methods refuse them.

        Args:
            type_name: as workflow files have it.
            inputs: by name: outputs of other nodes, or JSON values.
            id_: the node's id; the next number if empty.
            title_: what people call it.

        Raises:
            UnknownNodeTypeError: no pack has such a type.
            NodeGraphError: there is a node of that id, or an input is linked to none.
        """
        return self._place(self._spec(type_name), inputs or {}, id_, title_)

    def place(self, type_name: str, inputs: Mapping[str, object], id_: str, title_: str) -> Result:
        """Place a node for a node type's method, such as `g.KSampler(…)`.

        An input that is not given has its default; a name that is no input of the type is an error.
        """
        spec = self._spec(type_name)
        inputs = flatten(spec.inputs, inputs)
        _check_names(spec, inputs)
        inputs = {**defaults_for(spec, inputs), **inputs}
        outputs = self._place(spec, inputs, id_, title_)
        if len(outputs) == 1:
            return outputs[0]
        return outputs or Placed(outputs.node_id)

    def plain(self) -> PlainGraph:
        """Return the graph as the engine reads it."""
        return PlainGraph(dict(self._nodes))

    def prompt(self) -> dict[str, Any]:
        """Return the graph in API format."""
        return to_prompt(self.plain())

    def save(self, path: Path | str) -> None:
        """Write the graph to a workflow file, with the versions of its node types.

        Raises:
            OSError: it can not be written.
        """
        graph = pin_versions(self.plain(), self._types.catalog)
        text = json.dumps(to_prompt(graph), indent=2, ensure_ascii=False)
        Path(path).write_text(f"{text}\n", encoding="utf-8")

    def run(
        self,
        targets: Iterable[Result | tuple[Out[object], ...]] | None = None,
        *,
        emit: "Emit | None" = None,
        engine: "Engine | None" = None,
        **options: "Unpack[RunOptions]",
    ) -> "RunResult":
        """Run the graph in this process.

        Args:
            targets: whose results are wanted; those of every output node if None.
            emit: is called with every event.
            engine: what runs it; one for all graphs of the process, by the settings, if None.
            **options: see `nodegraph.execution.engine.RunOptions`.

        Raises:
            InvalidWorkflowError: the graph is invalid; carries every problem.
            NodeGraphError: a node failed.
        """
        wanted = None if targets is None else node_ids(targets)
        chosen = engine or _engine()
        return chosen.run(self.plain(), targets=wanted, emit=emit, **options)

    def submit(self, client: Submits[T_co]) -> T_co:
        """Send the graph to a server, and return what the client's `submit` returns."""
        return client.submit(self.prompt())

    def _place(self, spec: NodeSpec, inputs: Mapping[str, object], id_: str, title_: str) -> Outs:
        node_id = id_ or self._free_id()
        if node_id in self._nodes:
            message = f"the graph has a node {node_id!r} already."
            raise InvalidPromptError(message, hint="Leave id_ out to get the next number.")
        linked = {name: self._input_value(node_id, name, value) for name, value in inputs.items()}
        self._nodes[node_id] = Node(node_id, spec.name, linked, title_ or None)
        return Outs(node_id, len(spec.outputs))

    @property
    def _types(self) -> "Registry":
        if self._registry is None:
            self._registry = _registry()
        return self._registry

    def _spec(self, type_name: str) -> NodeSpec:
        catalog = self._types.catalog
        spec = catalog.get(type_name)
        if spec is None:
            raise UnknownNodeTypeError(type_name, catalog)
        return spec

    def _free_id(self) -> str:
        number = len(self._nodes) + 1
        while str(number) in self._nodes:
            number += 1
        return str(number)

    def _input_value(self, node_id: str, name: str, value: object) -> object:
        if isinstance(value, Outs | Placed):
            count = len(value) if isinstance(value, Outs) else 0
            message = f"takes one output, and is given a node that has {count}."
            raise NodeGraphError(message, node_id=node_id, input_name=name)
        if not isinstance(value, Out):
            return value
        if value.node_id not in self._nodes:
            message = f"is linked to node {short_repr(value.node_id)}, which is in another graph."
            raise NodeGraphError(message, node_id=node_id, input_name=name)
        return Link(value.node_id, value.index)


def _check_names(spec: NodeSpec, given: Mapping[str, object]) -> None:
    known = [item.name for item in inputs_for(spec.inputs, given)]
    for name in given:
        if name not in known:
            message = f"{spec.name} has no input {name!r}."
            raise NodeGraphError(
                message, hint=nearest(name, known) or f"It has: {', '.join(known)}."
            )


@cache
def _registry() -> "Registry":
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings

    return Registry.from_settings(Settings.read())


@cache
def _engine() -> "Engine":
    """Return the engine that all graphs share, so that they share what they compute."""
    from nodegraph.execution.engine import Engine
    from nodegraph.settings.settings import Settings

    return Engine.from_settings(Settings.read(), _registry())
