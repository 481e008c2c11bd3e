"""The files that a workflow's inputs name, and what their headers say."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nodegraph.cli.explanation.values import ExplainedFile
from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.folders import WEIGHTS
from nodegraph.files.shards import shards_of
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Node, NodeId
from nodegraph.graph.results import split_mark
from nodegraph.graph.spec import InputSpec, NodeSpec


class _Use(NamedTuple):
    """One way in which files are used."""

    folder: str
    name: str
    is_model: bool
    is_pair: bool
    device: str


def named_files(
    nodes: Iterable[Node], catalog: Mapping[str, NodeSpec], files: Files, device: str
) -> tuple[ExplainedFile, ...]:
    """Return every file that an input of the nodes names, once for each device it would be used on.

    Args:
        nodes: those that are needed.
        catalog: the node types there are.
        files: the folders.
        device: where models compute, unless a node says that it must be the CPU.
    """
    uses: dict[_Use, list[NodeId]] = {}
    for node in nodes:
        for use in _uses(node, catalog.get(node.type_name), device):
            uses.setdefault(use, []).append(node.id)
    return tuple(
        file
        for use, ids in uses.items()
        for file in _explain_files(use, tuple(dict.fromkeys(ids)), files)
    )


def _uses(node: Node, spec: NodeSpec | None, device: str) -> Iterator[_Use]:
    chosen = node.inputs.get("device")
    place = "cpu" if chosen == "cpu" else device
    for item in inputs_for(spec.inputs, node.inputs) if spec else ():
        name = node.inputs.get(item.name)
        if not isinstance(name, str) or name in (item.choices or ()):
            continue
        if item.model_folder:
            yield _model_use(item, item.model_folder, name, place)
        elif item.input_file:
            yield _Use(split_mark(name)[1], name, is_model=False, is_pair=False, device="")


def _model_use(item: InputSpec, folder: str, name: str, device: str) -> _Use:
    if name in item.pairs:
        return _Use(item.pairs_folder, name, is_model=True, is_pair=True, device=device)
    return _Use(folder, name, is_model=True, is_pair=False, device=device)


def _explain_files(use: _Use, nodes: tuple[NodeId, ...], files: Files) -> Iterator[ExplainedFile]:
    try:
        paths = list(_paths(use, files))
    except NodeGraphError as error:
        yield ExplainedFile(
            folder=use.folder, name=use.name, nodes=nodes, is_model=use.is_model, note=error.message
        )
        return
    for path in paths:
        yield _describe(use, path, nodes, files)


def _paths(use: _Use, files: Files) -> Iterator[Path]:
    if use.is_pair:
        yield from files.models.pair(use.folder, use.name)
    elif use.is_model:
        yield files.models.source(use.folder, use.name)
    else:
        yield files.input(use.name)


def _describe(use: _Use, path: Path, nodes: tuple[NodeId, ...], files: Files) -> ExplainedFile:
    model, note = None, ""
    weights = use.is_model and (path.is_dir() or path.name.lower().endswith(WEIGHTS))
    if weights:
        try:
            loadable = path if use.is_pair else files.model(use.folder, use.name)
            model = files.models.sources.summarize(loadable)
        except NodeGraphError as error:
            note = error.message
    return ExplainedFile(
        folder=use.folder,
        name=path.name if use.is_pair else use.name,
        nodes=nodes,
        path=path,
        size=_size(path),
        is_model=use.is_model,
        model=model,
        device=use.device if weights else "",
        note=note,
    )


def _size(path: Path) -> int:
    """Return the bytes of a file, of the shards that it is one of, or of everything in a folder."""
    items = path.rglob("*") if path.is_dir() else shards_of(path)
    return sum(item.stat().st_size for item in items if item.is_file())
