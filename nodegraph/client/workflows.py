"""The workflows that can be submitted: graphs, parsed JSON, files."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from nodegraph.errors import InvalidWorkflowError, UnknownFileError
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import is_object, parse_json
from nodegraph.workflow.api_format import to_prompt


@runtime_checkable
class HasPrompt(Protocol):
    """A graph that was built in Python: `nodegraph.Graph`."""

    def prompt(self) -> Mapping[str, Any]:
        """Return the graph in API format."""
        ...


Workflow: TypeAlias = Mapping[str, Any] | Graph | HasPrompt | Path | str
"""Parsed JSON in API format or the editor's; a graph; or a file, JSON or an image."""


def as_sent(workflow: Workflow) -> Mapping[str, Any] | str:
    """Return a workflow as requests carry it: JSON, or an image as base64.

    Raises:
        UnknownFileError: there is no such file.
    """
    if isinstance(workflow, Path | str):
        return _read(Path(workflow))
    if isinstance(workflow, Graph):
        return to_prompt(workflow)
    return workflow if isinstance(workflow, Mapping) else workflow.prompt()


def _read(path: Path) -> Mapping[str, Any] | str:
    try:
        data = path.read_bytes()
    except OSError as error:
        beside = sorted(map(str, path.parent.glob("*.json"))) if path.parent.is_dir() else []
        where = f"the folder {path.parent.resolve()}"
        raise UnknownFileError(str(path), where, beside) from error
    try:
        value = parse_json(data)
    except InvalidWorkflowError:
        return base64.b64encode(data).decode()  # The server checks if it is an image.
    return value if is_object(value) else base64.b64encode(data).decode()
