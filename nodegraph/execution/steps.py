"""The steps of a run: each node with its type, its key and the nodes it reads."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple

from nodegraph.definition.node import NodeType
from nodegraph.errors import NodeGraphError
from nodegraph.execution.fingerprint import Fingerprints, Opaque, is_volatile
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import inputs_for, is_dynamic
from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.traversal import sources_first
from nodegraph.packs.registry import Registry
from nodegraph.runtime.choices import Attention
from nodegraph.runtime.node_errors import call_node_code

_NONE: Final[frozenset[str]] = frozenset()


class Step(NamedTuple):
    """One node, ready to be planned."""

    node: Node
    kind: NodeType[..., Any]
    key: str
    reads: tuple[NodeId, ...]
    lazy: frozenset[str]
    """The lazy inputs that are linked."""
    unused: frozenset[str]
    """Those that the node does not ask for, by its literals alone; its key leaves them out."""
    volatile: bool
    """True if only this run can use the result."""
    who: tuple[NodeId, str, NodeId]
    """Its names in events: its id, its type, and the id of the node that is shown for it."""

    @property
    def shown_as(self) -> NodeId:
        """The node of the submitted graph that stands for it."""
        return self.who[2]

    @property
    def needs(self) -> tuple[NodeId, ...]:
        """The nodes that must be computed before this one is asked anything."""
        if not self.lazy:
            return self.reads
        return self.sources(name for name in self.node.inputs if name not in self.lazy)

    def sources(self, names: Iterable[str]) -> tuple[NodeId, ...]:
        """The nodes that these inputs are linked to, each once."""
        links = (self.node.inputs[name] for name in names)
        return tuple(dict.fromkeys(link.source for link in links if isinstance(link, Link)))


class Steps:
    """The steps of one run, by node id; expansions add to them.

    Args:
        registry: finds the node types.
        files: for the identities of the files that inputs name.
        attention: see `Fingerprints`.
        nonce: see `Fingerprints`.
        phased: the node types that ask for lazy inputs in several steps, as runs have found.
    """

    def __init__(
        self,
        registry: Registry,
        files: Files,
        attention: Attention,
        nonce: str,
        phased: Collection[str] = (),
    ) -> None:
        self._registry = registry
        self._phased = phased
        self._fingerprints = Fingerprints(files, attention, nonce)
        self._kinds: dict[str, NodeType[..., Any]] = {}
        self._lazy: dict[str, frozenset[str]] = {}
        self._dynamic: set[str] = set()
        self._open: set[str] = set()
        """The types with inputs whose choices packs may add to."""
        self._keys: dict[NodeId, str] = {}
        self.by_id: dict[NodeId, Step] = {}

    def add(self, nodes: Mapping[NodeId, Node], shown_as: NodeId | None = None) -> None:
        """Take in nodes that read each other and those that are already there.

        Args:
            nodes: valid ones, in any order, without loops.
            shown_as: the node of the submitted graph that stands for them; else each itself.
        """
        read = {node_id: tuple(node.sources) for node_id, node in nodes.items()}
        for node_id in _order_nodes(read):
            node = nodes[node_id]
            kind = self._kinds.get(node.type_name) or self._find(node)
            beside = self._import_choices(node, kind)
            lazy = self._lazy.get(node.type_name, _NONE)
            if node.type_name in self._dynamic:
                inputs = inputs_for(kind.spec.inputs, node.inputs)
                lazy = frozenset(item.name for item in inputs if item.lazy)
            if lazy:
                lazy = frozenset(n for n in lazy if isinstance(node.inputs.get(n), Link))
            unused = self._unused_inputs(node, kind, lazy) if lazy else _NONE
            key = self._fingerprints.key(node, kind, self._keys, beside, unused=unused)
            self._keys[node_id] = key
            who = (node_id, node.type_name, shown_as or node_id)
            volatile = is_volatile(key)
            self.by_id[node_id] = Step(node, kind, key, read[node_id], lazy, unused, volatile, who)

    def kind(self, node: Node) -> NodeType[..., Any]:
        """The node's type.

        Raises:
            UnknownNodeTypeError: no pack has it.
        """
        return self._kinds.get(node.type_name) or self._find(node)

    def _unused_inputs(
        self, node: Node, kind: NodeType[..., Any], lazy: frozenset[str]
    ) -> frozenset[str]:
        """Return the lazy inputs that a node does not ask for, where its literals alone say so."""
        literals = {name: value for name, value in node.inputs.items() if name not in lazy}
        if (
            kind.needs is None
            or kind.spec.input_is_list
            or node.type_name in self._phased
            or any(isinstance(value, Link | Opaque) for value in literals.values())
        ):
            return _NONE
        try:
            return lazy - set(call_node_code(node, kind.needs, kind.arguments_of(literals)))
        except NodeGraphError:
            return _NONE  # It fails again when it runs, and says why.

    def _find(self, node: Node) -> NodeType[..., Any]:
        found = call_node_code(node, self._registry.find, node.type_name)
        self._kinds[node.type_name] = found
        lazy = frozenset(spec.name for spec in found.spec.inputs if spec.lazy)
        if is_dynamic(found.spec):
            self._dynamic.add(node.type_name)
        elif lazy:
            self._lazy[node.type_name] = lazy
        if any(spec.registered for spec in found.spec.inputs):
            self._open.add(node.type_name)
        return found

    def _import_choices(self, node: Node, kind: NodeType[..., Any]) -> str:
        """Import the packs whose additions a node may use, and return what names their code."""
        if node.type_name not in self._open:
            return ""
        return call_node_code(node, self._registry.import_choices, kind.spec, node.inputs)


def _order_nodes(read: Mapping[NodeId, tuple[NodeId, ...]]) -> Iterable[NodeId]:
    """Nodes after all that they read; most graphs are written down that way already."""
    seen: set[NodeId] = set()
    for node_id, sources in read.items():
        if any(source in read and source not in seen for source in sources):
            break
        seen.add(node_id)
    else:
        return read
    order, _ = sources_first(read, lambda node_id: [s for s in read[node_id] if s in read])
    return order
