"""Calls of a pack's class as in ComfyUI: hidden inputs in, converted values in and out."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, cast

from nodegraph.definition.context import Context
from nodegraph.graph.graph import Link, Node
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Artifact, Expansion, Ui
from nodegraph.graph.spec import NodeSpec
from nodes.comfy.callbacks import await_result
from nodes.comfy.input_types import Entries
from nodes.comfy.values import runtime
from nodes.comfy.values.convert import ExecutionBlocker, from_pack, to_pack

CONTEXT = "nodegraph's context"
"""The parameter that takes the engine's context; no input of a pack is called that."""
_ROOTS = ("output", "temp", "input")
_LONGEST_ID = 40
"""The most characters of the id of a node in an expansion."""
_KEPT_OBJECTS = 64
"""The most objects of a class that are kept for its nodes' next calls."""


@dataclass(frozen=True, slots=True)
class Call:
    """The function of a pack's node type."""

    kind: Any
    spec: NodeSpec
    entries: Entries
    _objects: dict[tuple[str, str, str], Any] = field(default_factory=dict[Any, Any], compare=False)
    """The object of each node, by user, output folder and the node's id; the oldest first."""

    def __call__(self, **inputs: object) -> object:
        """Run the node."""
        context = cast("Context | None", inputs.pop(CONTEXT, None))
        with runtime.running(context):
            arguments = {
                name: self._to_argument(name, value)
                for name, value in inputs.items()
                if self._takes(name)
            }
            arguments |= self._hidden_values(context)
            return self._to_result(self._run(arguments, context))

    def _run(self, arguments: Mapping[str, object], context: Context | None) -> Any:
        """Call the node's own object, which keeps what it stores in itself, as in ComfyUI."""
        key = _key(context) if context else ("", "", "")
        found = self._objects.pop(key, None)
        found = self.kind() if found is None else found
        try:
            return await_result(getattr(found, self.kind.FUNCTION)(**arguments))
        finally:
            if context:
                self._objects[key] = found
                if len(self._objects) > _KEPT_OBJECTS:
                    self._objects.pop(next(iter(self._objects)), None)

    def _takes(self, name: str) -> bool:
        """Return True for a declared input; any other only if the class takes all names."""
        entries = self.entries
        declared = any(item.name == name for item in entries.inputs)
        return declared or bool(entries.more) or name in entries.given

    def _to_argument(self, name: str, value: object) -> object:
        meanings = self.entries.choice_values.get(name)
        if meanings and isinstance(value, str):
            return meanings.get(value, value)
        if meanings and isinstance(value, list):
            return [meanings.get(str(item), item) for item in cast("list[object]", value)]
        return to_pack(value, self._socket(name))

    def _socket(self, name: str) -> str:
        found = self.spec.input(name)
        return "*" if found is None else found.socket

    def _hidden_values(self, context: Context | None) -> dict[str, object]:
        hidden = {name: hidden_value(kind, context) for name, kind in self.entries.hidden.items()}
        return {name: [value] for name, value in hidden.items()} if self._takes_lists else hidden

    @property
    def _takes_lists(self) -> bool:
        return self.spec.input_is_list

    def _to_result(self, returned: Any) -> object:
        """Convert the class's result to one that the engine accepts."""
        if hasattr(returned, "as_returned"):
            returned = returned.as_returned()
        ui, expanded = None, None
        if isinstance(returned, dict):
            result = cast("dict[str, Any]", returned)
            ui, expanded = result.get("ui"), result.get("expand")
            returned = result.get("result", ())
        outputs = self._outputs(returned)
        if expanded:
            return expansion(cast("Mapping[str, Any]", expanded), outputs)
        if ui is not None:
            return ui_of(cast("Mapping[str, Any]", ui), outputs)
        if len(outputs) == 1:
            return outputs[0]
        return outputs or None

    def _outputs(self, returned: Any) -> tuple[object, ...]:
        """Return one value for each output; None where there are too few."""
        specs = self.spec.outputs
        if isinstance(returned, ExecutionBlocker):
            returned = (returned,) * len(specs)
        if returned is None:
            returned = ()
        if not isinstance(returned, tuple | list):
            returned = (returned,)
        values = cast("Sequence[object]", returned)
        padded = [*values, *[None] * len(specs)][: len(specs)]
        return tuple(
            self._output(value, spec.socket, listed=spec.is_list)
            for value, spec in zip(padded, specs, strict=True)
        )

    def _output(self, value: object, socket: str, *, listed: bool) -> object:
        if listed and isinstance(value, list | tuple):
            items = cast("Sequence[object]", value)
            return [from_pack(item, socket) for item in items]
        return from_pack([] if listed and value is None else value, socket)


def _key(context: Context) -> tuple[str, str, str]:
    folders = context.files.folders
    return folders.owner, str(folders.output), context.node_id


def hidden_value(kind: str, context: Context | None) -> object:
    """Return the value of a hidden input."""
    if context is None:
        return None
    if kind == "PROMPT":
        return copy.deepcopy(dict(context.prompt))
    if kind == "DYNPROMPT":
        from nodes.comfy.host.execution import DynamicPrompt  # Here: few ask for it.

        return DynamicPrompt(copy.deepcopy(dict(context.prompt)), context)
    if kind == "EXTRA_PNGINFO":
        return copy.deepcopy(dict(context.extra_pnginfo))
    return context.node_id if kind == "UNIQUE_ID" else None


def expansion(nodes: Mapping[str, Any], outputs: Sequence[object]) -> Expansion:
    """Make an expansion from a graph in API format that replaces the node.

    Long ids are replaced by hashes: each turn of a loop puts the ids of the turn before into its
    own.
    """
    ids = {str(name): _short(str(name)) for name in nodes}
    return Expansion(
        {
            ids[str(name)]: Node(
                ids[str(name)],
                str(node["class_type"]),
                {str(key): _as_link(value, ids) for key, value in node.get("inputs", {}).items()},
            )
            for name, node in nodes.items()
        },
        tuple(_as_link(value, ids) for value in outputs),
    )


def _short(name: str) -> str:
    """Return a node's id, or a hash of one that is long."""
    if len(name) <= _LONGEST_ID:
        return name
    return blake2b(name.encode(errors="replace"), digest_size=8).hexdigest()


def _as_link(value: Any, ids: Mapping[str, str]) -> object:
    """Return a link for [node, number], any other value converted."""
    if isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) == 2 and isinstance(items[0], str) and type(items[1]) in (int, float):
            return Link(ids.get(items[0], items[0]), int(items[1]))
    return from_pack(value, "*") if not is_plain(value) else value


def ui_of(ui: Mapping[str, Any], outputs: tuple[object, ...]) -> Ui:
    """Return a node's UI output: files as artifacts, everything else as JSON."""
    if hasattr(ui, "as_dict"):
        ui = cast("Any", ui).as_dict()
    artifacts: dict[str, list[Artifact]] = {}
    values: dict[str, list[object]] = {}
    for kind, value in ui.items():
        items = _items(value)
        files = [_artifact(item) for item in items]
        if items and all(files):
            artifacts[str(kind)] = [item for item in files if item]
        else:
            values[str(kind)] = [item if is_plain(item) else _as_json(item) for item in items]
    return Ui(artifacts, values, outputs)


def _items(value: object) -> list[object]:
    """Return the items that a UI output shows: those of an iterator or a list, or a single one."""
    single = isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable)
    return [value] if single else list(cast("Iterable[object]", value))


def _artifact(item: object) -> Artifact | None:
    if not isinstance(item, dict):
        return None
    file = cast("dict[str, Any]", item)
    if set(file) != {"filename", "subfolder", "type"} or file["type"] not in _ROOTS:
        return None
    return Artifact(str(file["filename"]), str(file["subfolder"]), file["type"])


def _as_json(item: object) -> object:
    """Convert a value to JSON: containers item by item, the rest as text."""
    if isinstance(item, tuple | list):
        return [_as_json(part) for part in cast("Sequence[object]", item)]
    if isinstance(item, dict):
        values = cast("dict[object, object]", item)
        return {str(key): _as_json(part) for key, part in values.items()}
    return item if is_plain(item) else str(item)
