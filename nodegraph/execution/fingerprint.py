"""One content key a node: a hash of its type, its literals and the keys it reads (Merkle)."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from json.encoder import encode_basestring_ascii
from typing import Any, Final

from nodegraph.definition.node import NodeType, State
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import inputs_for, is_dynamic
from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.runtime.choices import Attention
from nodegraph.runtime.node_errors import call_node_code

VOLATILE = "!"
"""The first character of keys that depend on a node that is never cached: valid for one run."""

_UNUSED: Final = "@"
"""The link of a lazy input that the node does not ask for."""

_encode: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is no JSON, handed in by an expansion: `token` names it by its origin."""

    value: object
    token: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """The parts of the key that all nodes of a type share."""

    head: str
    inputs: tuple[tuple[str, str, InputSpec | None], ...]
    """The name, its label in the text, and the spec if it names a file."""
    is_open: bool
    """True if a node may have further inputs."""


class Fingerprints:
    """The keys of one run's nodes.

    Args:
        files: for the identities of the files that inputs name.
        attention: which kernels compute attention; results of other kernels differ.
        nonce: sets the nodes apart that are never cached: the run's id.
    """

    def __init__(self, files: Files, attention: Attention, nonce: str) -> None:
        self._files = files
        self._attention = attention
        self._nonce = nonce
        self._shapes: dict[str, _Shape] = {}

    def key(
        self,
        node: Node,
        kind: NodeType[..., Any],
        keys: Mapping[NodeId, str],
        beside: str = "",
        *,
        unused: Collection[str] = (),
    ) -> str:
        """The node's key, given those of the nodes it reads.

        `beside` names code of other packs that it uses, and `unused` the links that it ignores.

        Ids, titles and the order of inputs never enter. The text that is hashed has one line
        a part, and JSON has no line breaks inside.
        """
        spec = kind.spec
        shape = self._shapes.get(spec.name) or self._new_shape(spec)
        unique = spec.cache == "never"
        volatile = False
        parts = [shape.head]
        more = _more(node, spec) if shape.is_open else ()
        for name, label, file_spec in (*shape.inputs, *more):
            if name not in node.inputs:
                continue
            value = node.inputs[name]
            if name in unused:
                parts.append(f"{label}{_UNUSED}")
            elif type(value) is Link:
                upstream = keys[value.source]
                volatile = volatile or upstream[0] == VOLATILE
                unique = unique or file_spec is not None  # the file is not known yet
                source = value.source if name in kind.raw_inputs else ""
                parts.append(f"{label}@{upstream}.{value.output}{source and _literal(source)}")
            else:
                parts.append(label + _literal(value))
                if file_spec:
                    parts.append(self._identity(node, file_spec, value))
        parts += self._outside(node, kind, beside)
        if unique or kind.depends_on_id:
            nonce = self._nonce if unique else ""
            parts.append(f"{nonce}\n{encode_basestring_ascii(node.id)}")
        digest = blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
        return VOLATILE + digest if unique or volatile else digest

    def _outside(self, node: Node, kind: NodeType[..., Any], beside: str) -> Iterator[str]:
        """Yield the parts for what a node depends on beside its inputs."""
        if kind.state:
            yield self._state(node, kind.state)
        if beside:
            yield encode_basestring_ascii(beside)

    def _new_shape(self, spec: NodeSpec) -> _Shape:
        shape = self._shapes[spec.name] = _Shape(
            head=_encode([self._attention, *self._owner(spec), *_code_identity(spec)]),
            inputs=tuple(
                (item.name, f"{encode_basestring_ascii(item.name)}:", _names_file(item))
                for item in spec.inputs
            ),
            is_open=bool(spec.open_inputs) or is_dynamic(spec),
        )
        return shape

    def _owner(self, spec: NodeSpec) -> list[str]:
        """Return the user for output nodes, whose files are the user's own; all else is shared."""
        owner = self._files.folders.owner
        return [owner] if owner and spec.output_node else []

    def _identity(self, node: Node, spec: InputSpec, value: object) -> str:
        """The content of the file that an input names."""
        if not isinstance(value, str) or value in (spec.choices or ()):
            return ""
        return "#" + call_node_code(node, self._hash, spec, value)

    def _state(self, node: Node, ask: State) -> str:
        """The outside state that a node names itself."""
        literals = {k: v for k, v in node.inputs.items() if not isinstance(v, Link | Opaque)}
        return f"~{encode_basestring_ascii(str(call_node_code(node, ask, literals, self._files)))}"

    def _hash(self, spec: InputSpec, name: str) -> str:
        folder = spec.model_folder
        if folder and name in spec.pairs:
            return self._files.models.pair_content(spec.pairs_folder, name)
        if folder:
            return self._files.models.content(folder, name)
        return self._files.identity(self._files.input(name))


def _more(node: Node, spec: NodeSpec) -> list[tuple[str, str, InputSpec | None]]:
    """The inputs that a node has by its own values, or by the graph's names, as in `_Shape`."""
    declared = {item.name for item in spec.inputs}
    found = {item.name: _names_file(item) for item in inputs_for(spec.inputs, node.inputs)}
    if spec.open_inputs:
        found = {**dict.fromkeys(node.inputs), **found}
    return [
        (name, f"{encode_basestring_ascii(name)}:", found[name])
        for name in sorted(found.keys() - declared)
    ]


def _code_identity(spec: NodeSpec) -> list[str]:
    """Return texts that identify a node type's code."""
    return [spec.module, spec.name, spec.version, *([spec.revision] if spec.revision else [])]


def is_volatile(key: str) -> bool:
    """Say if a key is valid for one run only."""
    return key[0] == VOLATILE


def _names_file(spec: InputSpec) -> InputSpec | None:
    return spec if spec.model_folder or spec.input_file else None


def _literal(value: object) -> str:
    """A literal's one spelling; strings are quoted, so that none can pass for a link."""
    if type(value) is str:
        return encode_basestring_ascii(value)
    if type(value) is int or type(value) is float:
        return repr(value)
    return f"%{value.token}" if isinstance(value, Opaque) else _encode(value)
