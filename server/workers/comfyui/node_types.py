"""The node types of a ComfyUI server, as it describes them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nodegraph.graph.described_specs import spec_of_entry
from nodegraph.graph.json_values import is_clean, is_list, is_object
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.registry import Registry
from server.workers.comfyui.errors import ComfyAnswerError

_log = logging.getLogger(__name__)

MOST_TYPES = 50_000
_LONGEST_NAME = 300
Entry = Mapping[str, Any]
"""A node type as `/object_info` describes it."""


@dataclass(frozen=True, slots=True)
class NodeTypes:
    """The node types of one server; none before it was connected to."""

    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    registry: Registry = field(default_factory=Registry)
    """Their specs; the functions are on the server."""
    input_files: frozenset[str] = frozenset()
    """The files of its input folder that inputs list."""


def read_node_types(found: object, server: str, native: Mapping[str, NodeSpec]) -> NodeTypes:
    """Read an answer of `/object_info`; what describes no node type in it is left out.

    Args:
        found: the answer.
        server: the server's name.
        native: our own node types, by name.

    Raises:
        ComfyAnswerError: it is no such answer.
    """
    if not is_object(found) or not 0 < len(found) <= MOST_TYPES:
        raise ComfyAnswerError(server, "GET /object_info", "describes no node types")
    entries: dict[str, Entry] = {}
    specs: list[NodeSpec] = []
    for name, entry in found.items():
        spec = None
        if is_object(entry) and is_clean(name) and len(name) <= _LONGEST_NAME:
            module = f"comfyui:{server}:{entry.get('python_module', '')}"
            spec = spec_of_entry(name, entry, module, native.get(name))
        if spec is not None and is_object(entry):
            specs.append(spec)
            # The editor puts the name in the entry into prompts, whatever the key says.
            entries[name] = {**entry, "name": name, "display_name": spec.display_name}
    if len(entries) < len(found):
        left_out = len(found) - len(entries)
        _log.warning("ComfyUI %s: %d node types have no readable description", server, left_out)
    registry = Registry.from_specs(specs, f"the ComfyUI server {server!r}")
    uploads = [item for spec in specs for item in spec.inputs if item.input_file and item.choices]
    return NodeTypes(
        entries, registry, frozenset(name for item in uploads for name in item.choices or ())
    )


def joined_entry(own: Entry, theirs: Entry, server: str) -> Entry:
    """Return the entry of a node type that both have, with the choices of both.

    The models and other files that only the server has can then be chosen, too.

    Args:
        own: our entry.
        theirs: the server's.
        server: its name, by which the entry is marked.
    """
    groups: dict[str, object] = dict(own["input"])
    for group in ("required", "optional"):
        inputs, others = groups.get(group), theirs["input"].get(group)
        if is_object(inputs) and is_object(others):
            groups[group] = {
                name: _joined_input(value, others.get(name)) for name, value in inputs.items()
            }
    return {**own, "input": groups, "comfyui": [*own.get("comfyui", ()), server]}


def _joined_input(own: object, theirs: object) -> object:
    """Return an input with the choices of both, if both are lists of choices."""
    if not (is_list(own) and own and is_list(own[0])):
        return own
    more = _choices(theirs)
    known = own[0]
    return [[*known, *(item for item in more if item not in known)], *own[1:]]


def _choices(value: object) -> list[object]:
    """Return the choices of an input from either of two spellings."""
    if not is_list(value) or not value:
        return []
    if is_list(value[0]):
        return value[0]
    options = value[1] if len(value) > 1 else None
    listed = options.get("options") if value[0] == "COMBO" and is_object(options) else None
    return listed if is_list(listed) else []
