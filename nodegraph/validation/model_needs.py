"""The model files that a graph reads, by their paths, with their sizes."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.files.references import read_name
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph
from nodegraph.graph.spec import NodeSpec


def model_needs(graph: Graph, catalog: Mapping[str, NodeSpec], files: Files) -> Mapping[str, int]:
    """Return the bytes of each model file that a graph names and that is here, by its path.

    Args:
        graph: the graph.
        catalog: the node types by name.
        files: the model folders.
    """
    return {str(path): nbytes for path in _paths(graph, catalog, files) if (nbytes := _size(path))}


def _paths(graph: Graph, catalog: Mapping[str, NodeSpec], files: Files) -> Iterator[Path]:
    for node in graph.nodes.values():
        spec = catalog.get(node.type_name)
        for item in inputs_for(spec.inputs, node.inputs) if spec else ():
            value = node.inputs.get(item.name)
            if item.model_folder is None or not isinstance(value, str):
                continue
            try:
                wanted = read_name(value)
                if wanted.hub is None:
                    yield files.models.source(item.model_folder, wanted.plain)
                elif origin := files.models.origin(item.model_folder, value):
                    yield origin.path
            except NodeGraphError:  # not there; the run will tell
                continue


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder; 0 if it can not be read."""
    try:
        if path.is_dir():
            return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
        return path.stat().st_size
    except OSError:
        return 0
