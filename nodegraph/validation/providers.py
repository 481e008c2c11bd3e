"""The origins of node types and models, as a workflow in the editor format names them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from nodegraph.errors import NodeGraphError, UnknownNodeTypeError, short_repr
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.validation.problems import ValueNotInListError

_OWN = "comfy-core"
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Providers:
    """Hints about the origins of node types and models."""

    types: Mapping[str, str]
    """The pack of each node type."""
    models: Mapping[str, str]
    """The URL of each model, by file name."""

    def explain(self, problems: Iterable[NodeGraphError]) -> None:
        """Add the origin of each missing node type or model to the hint of its problem."""
        for problem in problems:
            name = problem.details.get(
                "class_type" if isinstance(problem, UnknownNodeTypeError) else "received_value"
            )
            known = self.types if isinstance(problem, UnknownNodeTypeError) else self.models
            wanted = isinstance(problem, UnknownNodeTypeError | ValueNotInListError)
            if wanted and isinstance(name, str) and name in known:
                problem.hint = f"{known[name]} {problem.hint}".strip()


def providers_of(editor: Mapping[str, object] | None) -> Providers:
    """Read the origins from the editor's description of a graph, which may have any shape."""
    types: dict[str, str] = {}
    models: dict[str, str] = {}
    for item in _objects((editor or {}).get("models")):
        _add_model(item, models)
    for node in _nodes(editor or {}):
        properties, name = node.get("properties"), node.get("type")
        if not is_object(properties):
            continue
        for item in _objects(properties.get("models")):
            _add_model(item, models)
        pack = _pack(properties)
        if isinstance(name, str) and pack:
            types.setdefault(name, pack)
    return Providers(types, models)


def _nodes(editor: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield every node, also those in subgraphs."""
    definitions = editor.get("definitions")
    subgraphs = definitions.get("subgraphs") if is_object(definitions) else None
    for canvas in (editor, *_objects(subgraphs)):
        yield from _objects(canvas.get("nodes"))


def _objects(given: object) -> Iterator[Mapping[str, object]]:
    if is_list(given):
        yield from (item for item in given if is_object(item))


def _pack(properties: Mapping[str, object]) -> str:
    key, address, version = (_short(properties.get(name)) for name in ("cnr_id", "aux_id", "ver"))
    if key == _OWN:
        return f"It is one of ComfyUI's own{f' ({version})' if version else ''}."
    if key:
        return f"The pack {short_repr(key)}{f' ({version})' if version else ''} has it."
    return f"The pack github.com/{address} has it." if address else ""


def _add_model(item: Mapping[str, object], models: dict[str, str]) -> None:
    name, url, folder = (_short(item.get(key)) for key in ("name", "url", "directory"))
    if name and url:
        place = f", for models/{folder}" if folder else ""
        models.setdefault(name, f"The workflow gets it from {url}{place}.")


def _short(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) and value.isprintable() else ""
