"""The workflows of `--warm`, read and checked before the server starts."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nodegraph.errors import (
    InvalidWorkflowError,
    NodeGraphError,
    SettingsError,
    UnknownNodeTypeError,
)
from nodegraph.files.files import Files
from nodegraph.graph.graph import Graph
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.registry import Registry
from nodegraph.validation.defaults import with_defaults
from nodegraph.validation.validate import check
from nodegraph.workflow.api_format import as_sent
from nodegraph.workflow.read import read_workflow


def warm_workflows(paths: Sequence[Path], registry: Registry, files: Files) -> list[dict[str, Any]]:
    """Return `name` and `prompt` (API format) of each workflow that workers run before all others.

    Args:
        paths: their files.
        registry: the node types; those of packs that are still to be described are not missed.
        files: the folders with their models.

    Raises:
        SettingsError: one cannot be read, or cannot run: a model of it is not there, for example.
    """
    return [{"name": path.name, "prompt": as_sent(_read(path, registry, files))} for path in paths]


def _read(path: Path, registry: Registry, files: Files) -> Graph:
    try:
        graph = read_workflow(path, shapes_of(registry.catalog, files))
    except InvalidWorkflowError as error:
        raise _refusal(path, error.problems[0]) from error
    graph = with_defaults(graph, registry.catalog)
    for problem in check(graph, registry, files).problems:
        if not (registry.pending and isinstance(problem, UnknownNodeTypeError)):
            raise _refusal(path, problem)
    return graph


def _refusal(path: Path, problem: NodeGraphError) -> SettingsError:
    """Return the error that ends the start, with the first thing that is wrong."""
    return SettingsError(f"no worker can be warm for {path}: {problem}")
