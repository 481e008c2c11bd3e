"""Lock files: the exact versions and hashes a workflow was made with, to check later runs."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from platform import python_version
from typing import Any

from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph, Link, Node
from nodegraph.graph.json_values import is_object
from nodegraph.graph.spec import InputSpec
from nodegraph.packs.registry import Registry

FORMAT = 1
_PARTS = ("nodes", "models", "inputs", "packages")


class DriftError(NodeGraphError):
    """Something is not what it was when the workflow was locked."""

    code = "lock_drift"

    def __init__(self, what: str, locked: str, found: str) -> None:
        was, now = locked or "not there", found or "not there"
        super().__init__(
            f"{what} was {was} when the workflow was locked, and is {now} now.",
            hint="Bring back what it was, or lock the workflow again: nodegraph lock.",
            details={"what": what, "locked": locked, "found": found},
        )


class LockFileError(NodeGraphError):
    """A lock file can not be used."""

    code = "bad_lock_file"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the lock file {path} {reason}.", hint="Make one with: nodegraph lock.")


@dataclass(frozen=True, slots=True)
class Lock:
    """Everything that a workflow needs, each with its version or hash."""

    nodes: Mapping[str, str] = field(default_factory=dict[str, str])
    """Node types: `pack 1.0, version 1.0`."""
    models: Mapping[str, str] = field(default_factory=dict[str, str])
    """Model files by folder and name: their sha256, or the commit on a hub."""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    """Input files: their sha256."""
    packages: Mapping[str, str] = field(default_factory=dict[str, str])
    """The versions of Python and of the packages that nodegraph requires."""

    @classmethod
    def from_graph(cls, graph: Graph, registry: Registry, files: Files) -> "Lock":
        """Collect everything that a graph needs, with its present version or hash.

        Raises:
            InvalidWorkflowError: node types or files are not there; names all of them.
        """
        problems: list[NodeGraphError] = []
        nodes: dict[str, str] = {}
        models: dict[str, str] = {}
        inputs: dict[str, str] = {}
        for node in graph.nodes.values():
            try:
                spec = registry.spec(node.type_name)
            except NodeGraphError as error:
                problems.append(error.at(node.id))
                continue
            pack = registry.pack_of(node.type_name)
            origin = f"{pack.name} {pack.version}, " if pack else ""
            nodes[node.type_name] = f"{origin}version {spec.version}"
            for item, value in _files_of(node, inputs_for(spec.inputs, node.inputs)):
                try:
                    if item.input_file:
                        inputs[value] = files.identity(files.input(value))
                    else:
                        models[f"{item.model_folder}/{value}"] = _content(files, item, value)
                except NodeGraphError as error:
                    problems.append(error.at(node.id))
        if problems:
            raise InvalidWorkflowError(problems)
        return cls(nodes, models, inputs, _packages())

    @classmethod
    def read(cls, path: Path) -> "Lock":
        """Read a lock file.

        Raises:
            LockFileError: it is not there, or is none.
        """
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise LockFileError(path, "is not there") from error
        except (OSError, ValueError, RecursionError) as error:
            raise LockFileError(path, f"can not be read: {error}") from error
        if not is_object(value) or value.get("format") != FORMAT:
            raise LockFileError(path, "is of no format that is known here")
        parts = [value.get(name) for name in _PARTS]
        if not all(_is_table(part) for part in parts):
            raise LockFileError(path, f"lacks a table: {', '.join(_PARTS)} have to be there")
        return cls(*parts)  # type: ignore[arg-type]

    def text(self) -> str:
        """Return the text of the lock file."""
        parts: dict[str, Any] = {"format": FORMAT}
        for name in _PARTS:
            parts[name] = dict(sorted(getattr(self, name).items()))
        return json.dumps(parts, indent=2, ensure_ascii=False) + "\n"

    def drift(self, now: "Lock") -> list[NodeGraphError]:
        """Return an error for everything that is needed now and differs from this lock."""
        words = {"nodes": "node type", "models": "the model", "inputs": "the input"}
        found: list[NodeGraphError] = []
        for part in _PARTS:
            locked, present = getattr(self, part), getattr(now, part)
            names = present if part != "packages" else {**locked, **present}
            for name in names:
                was, is_ = locked.get(name, ""), present.get(name, "")
                if was != is_:
                    found.append(DriftError(f"{words.get(part, '')} {name}".strip(), was, is_))
        return found


def lock_path(workflow: Path) -> Path:
    """The lock file beside a workflow."""
    return workflow.with_name(f"{workflow.name.removesuffix('.json')}.lock.json")


def _files_of(node: Node, specs: Iterable[InputSpec]) -> Iterator[tuple[InputSpec, str]]:
    """The inputs of a node that name files, with the names."""
    for item in specs:
        value = node.inputs.get(item.name, item.default if item.has_default else None)
        named = item.input_file or item.model_folder
        if (
            named
            and isinstance(value, str)
            and not isinstance(value, Link)
            and _is_file(item, value)
        ):
            yield item, value


def _is_file(item: InputSpec, value: str) -> bool:
    """Say if a value names a file, and not a fixed choice such as `none`."""
    return value not in (item.choices or ())


def _content(files: Files, item: InputSpec, value: str) -> str:
    if value in item.pairs:
        return files.models.pair_content(item.pairs_folder, value)
    return files.models.content(item.model_folder or "", value)


def _packages() -> dict[str, str]:
    """The versions of Python and of what this program requires, and of itself."""
    found = {"python": python_version()}
    for name in ("nodegraph", *_requirements("nodegraph")):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _requirements(name: str) -> list[str]:
    """Return the names of the packages that a distribution requires, without its extras."""
    lines = [line for line in metadata.requires(name) or () if "extra ==" not in line]
    return [match[0] for line in lines if (match := re.match(r"[\w.-]+", line))]


def _is_table(value: object) -> bool:
    return is_object(value) and all(isinstance(item, str) for item in value.values())
