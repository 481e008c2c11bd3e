"""All that a workflow lacks, as lines: a summary, then one line for each pack and each model.

Last comes the command that downloads models, and then every other problem, once each.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Protocol

import click

from nodegraph.cli.terminal.report import report

if TYPE_CHECKING:
    from nodegraph.errors import NodeGraphError
    from nodegraph.files.files import Files
    from nodegraph.graph.graph import Graph
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings
    from nodegraph.validation.missing import Missing, MissingModel, MissingPack, MissingType

_MOST_IDS = 3
_MOST_TYPES = 6
"""The most node types of a pack that are told with their nodes; `--json` has all."""
_SIMILAR, _LIST = "Did you mean", "`nodegraph nodes`"
"""The starts of hints that name a similar type, or no more than the list of types."""
_REGISTRY = "https://registry.comfy.org"


class Workspace(Protocol):
    """The registry, files and settings that a command works with."""

    @property
    def registry(self) -> "Registry":
        """The packs."""
        ...

    @property
    def files(self) -> "Files":
        """The folders of models."""
        ...

    @property
    def settings(self) -> "Settings":
        """The settings, which name the folder of packs."""
        ...


def missing_from(
    problems: "Iterable[NodeGraphError]", graph: "Graph", workspace: Workspace
) -> "Missing":
    """Return what the problems of a graph say is missing."""
    from nodegraph.validation.missing import missing_in
    from nodegraph.validation.providers import providers_of

    return missing_in(problems, providers_of(graph.editor), workspace.registry.problems)


def report_problems(
    problems: "Sequence[NodeGraphError]",
    graph: "Graph",
    workspace: Workspace,
    titles: dict[str, str],
    workflow: str,
) -> None:
    """Print what is missing, once each, and then every other problem.

    Args:
        problems: everything that is wrong.
        graph: the graph.
        workspace: the folders that packs and models belong to.
        titles: what to call nodes besides their ids.
        workflow: the file's name, or `-`.
    """
    from nodegraph.validation.missing import is_missing

    missing = missing_from(problems, graph, workspace)
    if missing:
        click.secho(f"error: {missing.summary}", err=True, fg="red", bold=True)
        for line in _lines(missing, workspace, workflow):
            click.echo(f"  {line}", err=True)
    for alike in _alike([item for item in problems if not is_missing(item)], graph):
        report(alike[0], titles, others=len(alike) - 1)


def _alike(
    problems: "Sequence[NodeGraphError]", graph: "Graph"
) -> "Iterable[Sequence[NodeGraphError]]":
    """Group problems that are the same but for their nodes, of one type."""
    found: dict[tuple[object, ...], list[NodeGraphError]] = {}
    for problem in problems:
        node = graph.nodes.get(problem.node_id or "")
        kind = node.type_name if node else problem.node_id
        key = (kind, problem.code, problem.input_name, problem.message, problem.hint)
        found.setdefault(key, []).append(problem)
    return found.values()


def _lines(missing: "Missing", workspace: Workspace, workflow: str) -> Iterator[str]:
    for pack in missing.packs:
        yield _pack_line(pack, workspace.settings.custom_nodes_dir)
    for item in missing.types:
        yield f"node type {_type_words(item)}: {_way_to(item)}"
    if missing.newer:
        yield f"ComfyUI's own, which nodegraph can't run yet: {_types_words(missing.newer.types)}"
    for model in missing.models:
        yield _model_line(model, workspace.files.folders.of_model(model.folder))
    if any(model.origin for model in missing.models):
        file = "FILE" if workflow == "-" else quote(workflow)
        yield f"models with an address: nodegraph models pull --workflow {file}"


def _way_to(item: "MissingType") -> str:
    """Return what to do about a type that no known pack has."""
    if item.hint.startswith(_SIMILAR):
        return f"no known pack has it. {item.hint}"
    if item.hint.startswith(_LIST):
        return f"no known pack has it. Search for it on {_REGISTRY}."
    return item.hint


def _pack_line(pack: "MissingPack", folder: Path) -> str:
    origin = pack.origin
    version = f" ({origin.version})" if origin.version else ""
    types = _types_words(pack.types)
    place = folder.absolute() / origin.folder
    if pack.left_out:
        how = f"it is in {folder.absolute()}, but was left out: {pack.left_out}"
    elif origin.folder:
        how = f"git clone {origin.address} {place}"
    else:
        how = origin.address
    return f"pack {origin.name}{version} has {types}: {how}"


def _model_line(model: "MissingModel", places: Sequence[Path]) -> str:
    named = (path for path in places if path.name == model.folder)
    place = next(named, places[0] if places else Path("models", model.folder)).absolute()
    how = model.origin.url if model.origin else model.hint
    return f"model {model.name} ({_nodes_words(model.nodes)}), for {place}: {how}"


def _types_words(items: "Sequence[MissingType]") -> str:
    """Return node types with their nodes; of many types the names alone."""
    if len(items) <= _MOST_TYPES:
        return ", ".join(_type_words(item) for item in items)
    return ", ".join(item.name for item in items)


def _type_words(item: "MissingType") -> str:
    return f"{item.name} ({_nodes_words(item.nodes)})"


def _nodes_words(ids: Sequence[str]) -> str:
    """Return `node 4`, or how many nodes there are and the first of them."""
    if len(ids) == 1:
        return f"node {ids[0]}"
    more = ", …" if len(ids) > _MOST_IDS else ""
    return f"{len(ids)} nodes: {', '.join(ids[:_MOST_IDS])}{more}"


def as_missing_data(
    problems: "Iterable[NodeGraphError]", graph: "Graph", workspace: Workspace
) -> Mapping[str, object]:
    """Return the entry `missing` for JSON, with the folders of models; empty if nothing is."""
    missing = missing_from(problems, graph, workspace)
    if not missing:
        return {}
    data = missing.as_dict()
    places = {
        model.folder: [str(path) for path in workspace.files.folders.of_model(model.folder)]
        for model in missing.models
    }
    return {"missing": {**data, "model_folders": places}}
