"""A pack's catalog as a file: JSON with one node a line, so that a change to one shows as one."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from nodegraph.graph.spec import Branch, InputSpec, NodeSpec, OutputSpec, Row

_TUPLES = ("branches", "choices", "hidden", "names", "pairs", "suffixes")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackCatalog:
    """All that is known of a pack before it is imported."""

    format: int
    digest: str
    """The hash of the pack's source files, and of the code that reads their declarations."""
    name: str
    version: str
    models: Mapping[str, tuple[str, ...]]
    """Model files and folders inside the pack, by model folder."""
    nodes: tuple[NodeSpec, ...]
    web: str = ""
    """The folder with the pack's scripts for the editor, inside it."""
    routes: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    """The modules that it looked for in vain, and went on without."""
    folders: Mapping[str, str] = field(default_factory=dict[str, str])
    """The folders that are served under paths, relative to the pack's or absolute."""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """Why node types of it can not be used, by type."""
    changes_prompts: bool = False
    """True if it changes prompts before they are queued."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """The names that it adds to the choices of others' nodes, by kind; see `Pack.choices`."""

    def paths(self, root: Path) -> Mapping[str, tuple[Path, ...]]:
        """The pack's own model files and folders as paths."""
        return {
            folder: tuple(root / place for place in places)
            for folder, places in self.models.items()
        }


def as_text(catalog: PackCatalog) -> str:
    """The catalog as JSON; what has its default value is left out."""
    data = _data(catalog)
    nodes = [json.dumps(node, ensure_ascii=False, sort_keys=True) for node in data.pop("nodes")]
    head = json.dumps(data, indent=1, sort_keys=True).removesuffix("\n}")
    return head + ',\n "nodes": [\n' + ",\n".join(nodes) + "\n]\n}\n"


def from_text(text: bytes) -> PackCatalog:
    """Read what `as_text` wrote.

    Raises:
        ValueError: it is something else.
    """
    try:
        data: dict[str, Any] = json.loads(text)
        models = {folder: tuple(places) for folder, places in data.pop("models").items()}
        nodes = tuple(_node(**node) for node in data.pop("nodes"))
        lists = {key: tuple(data.pop(key, ())) for key in ("routes", "without")}
        return PackCatalog(models=models, nodes=nodes, **lists, **data)
        routes = tuple(data.pop("routes", ()))
        choices = {kind: tuple(names) for kind, names in data.pop("choices", {}).items()}
        return PackCatalog(models=models, nodes=nodes, routes=routes, choices=choices, **data)
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        message = f"this is no catalog: {error}."
        raise ValueError(message) from error


def _node(*, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]], **rest: Any) -> NodeSpec:
    return NodeSpec(
        inputs=_inputs(inputs),
        outputs=tuple(OutputSpec(**item) for item in outputs),
        **_with_tuples(rest),
    )


def _inputs(items: list[dict[str, Any]]) -> tuple[InputSpec, ...]:
    return tuple(_input(**_with_tuples(item)) for item in items)


def _input(
    *,
    branches: tuple[dict[str, Any], ...] = (),
    row: dict[str, Any] | None = None,
    **rest: Any,
) -> InputSpec:
    found = [Branch(key=each["key"], inputs=_inputs(each.get("inputs", []))) for each in branches]
    return InputSpec(branches=tuple(found), row=_row(**_with_tuples(row)) if row else None, **rest)


def _row(*, item: dict[str, Any], **rest: Any) -> Row:
    return Row(item=_inputs([item])[0], **rest)


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that specs hold."""
    return data | {key: tuple(data[key]) for key in _TUPLES if data.get(key)}


def _data(value: Any) -> Any:
    """Specs as JSON objects without what has its default value."""
    if isinstance(value, PackCatalog | NodeSpec | InputSpec | OutputSpec | Branch | Row):
        return {
            item.name: _data(getattr(value, item.name))
            for item in fields(value)
            if getattr(value, item.name) != _default(item)
        }
    if isinstance(value, tuple):
        return [_data(item) for item in cast("tuple[object, ...]", value)]
    return value


def _default(item: "Field[Any]") -> object:
    return item.default if item.default_factory is MISSING else item.default_factory()
