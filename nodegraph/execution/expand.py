"""Splice the nodes that a node returned into the graph of its run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from nodegraph.cache.entry import Entry
from nodegraph.errors import NodeExecutionError
from nodegraph.execution.call import Result, collect
from nodegraph.execution.fingerprint import Opaque
from nodegraph.execution.steps import Step, Steps
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Expansion
from nodegraph.graph.spec import NodeSpec
from nodegraph.graph.traversal import sources_first


class Splice:
    """One expansion: its nodes under their new ids, and where the outputs come from."""

    def __init__(self, parent: Step, index: int | None, expansion: Expansion, steps: Steps) -> None:
        self._parent = parent
        self._prefix = parent.node.id if index is None else f"{parent.node.id}.{index}"
        self._origin = f"{parent.key}/{index}"
        self._local = expansion.nodes
        self._steps = steps
        nodes = {self._id(name): self._node(name, node) for name, node in self._local.items()}
        self._check_order(nodes)
        steps.add(nodes, parent.shown_as)
        self.outputs = tuple(
            self._link(value) if isinstance(value, Link) else value for value in expansion.outputs
        )
        self.nodes = tuple(nodes)
        self.shows = tuple(n for n in nodes if steps.by_id[n].kind.spec.output_node)
        """Its output nodes, which run even if nothing reads them."""

    @property
    def reads(self) -> tuple[NodeId, ...]:
        """The nodes that must be computed for its outputs."""
        links = (value.source for value in self.outputs if isinstance(value, Link))
        return tuple(dict.fromkeys((*self.shows, *links)))

    def result(self, live: Mapping[NodeId, Entry]) -> Result:
        """Return the outputs, once everything that it reads is computed."""
        return Result(
            tuple(
                live[value.source].outputs[value.output] if isinstance(value, Link) else value
                for value in self.outputs
            )
        )

    def _id(self, local: NodeId) -> NodeId:
        return f"{self._prefix}.{local}"

    def _node(self, local: NodeId, node: Node) -> Node:
        spec = self._steps.kind(node).spec
        inputs: dict[str, object] = {}
        for item in inputs_for(spec.inputs, node.inputs):
            if item.name in node.inputs:
                inputs[item.name] = self._input(local, item.name, node.inputs[item.name])
            elif item.has_default:
                inputs[item.name] = item.default
        if spec.open_inputs:
            more = {n: self._input(local, n, v) for n, v in node.inputs.items() if n not in inputs}
            inputs |= more
        return replace(node, id=self._id(local), inputs=inputs)

    def _input(self, local: NodeId, name: str, value: object) -> object:
        """Return an input for the graph; a value that is no JSON is named by its origin."""
        if isinstance(value, Link):
            return self._link(value)
        if is_plain(value):
            return value
        return Opaque(value, f"{self._origin}/{local}/{name}")

    def _link(self, link: Link) -> Link:
        """A link to a node of the expansion, or to one that is in the graph already."""
        local = self._local.get(link.source)
        if local is None and link.source not in self._steps.by_id:
            self._refuse(f"links to {link.source!r}, which is not there")
        kind = self._steps.kind(local) if local else self._steps.by_id[link.source].kind
        if not 0 <= link.output < len(kind.spec.outputs):
            self._refuse(f"links to output {link.output} of {link.source!r}, which is not there")
        return Link(self._id(link.source), link.output) if local else link

    def _check_order(self, nodes: Mapping[NodeId, Node]) -> None:
        _, loops = sources_first(nodes, lambda n: [s for s in nodes[n].sources if s in nodes])
        if loops:
            self._refuse(f"loops: {' -> '.join(loops[0])}")

    def _refuse(self, what: str) -> None:
        node = self._parent.node
        raise NodeExecutionError(node.id, node.type_name, ValueError(f"its expansion {what}."))


@dataclass(frozen=True, slots=True)
class Splices:
    """The results of a node's calls, some of which are expansions."""

    parts: tuple[Result | Splice, ...]
    mapped: bool

    @classmethod
    def from_results(
        cls, step: Step, results: Sequence[Result | Expansion], mapped: bool, steps: Steps
    ) -> "Splices":
        """Splice in every expansion among `results`."""
        parts = tuple(
            Splice(step, k if mapped else None, result, steps)
            if isinstance(result, Expansion)
            else result
            for k, result in enumerate(results)
        )
        return cls(parts, mapped)

    @property
    def nodes(self) -> Iterator[NodeId]:
        """The ids of everything that was spliced in."""
        return (n for part in self.parts if isinstance(part, Splice) for n in part.nodes)

    @property
    def reads(self) -> tuple[NodeId, ...]:
        """The nodes that must be computed before there is a result."""
        found = (n for part in self.parts if isinstance(part, Splice) for n in part.reads)
        return tuple(dict.fromkeys(found))

    def result(self, live: Mapping[NodeId, Entry], spec: NodeSpec) -> Result:
        """Return the node's result, once everything that it reads is computed."""
        parts = [part.result(live) if isinstance(part, Splice) else part for part in self.parts]
        return collect(parts, spec, mapped=self.mapped)
