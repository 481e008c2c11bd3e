"""The prompt that a ComfyUI server gets: what its targets need, with its input files uploaded."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.described_specs import COMBO
from nodegraph.graph.graph import Graph, NodeId
from nodegraph.graph.spec import InputSpec, NodeSpec
from nodegraph.graph.traversal import sources_first
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.api_format import read_prompt, to_prompt
from server.store.runs import Work
from server.workers.comfyui.connection import ComfyConnection

_TEXT = "STRING"
FOLDER = "nodegraph"
"""The folder below a server's input folder that uploads go to."""
_DIGITS = 32
"""The digits of a file's hash in its name: who does not have the file can not guess them."""
_INPUT = "input/"
"""The start of a path in a text, for ComfyUI's own folder is where its programs begin."""
_PATH = re.compile(r"[^\n\r]{1,1000}\.[A-Za-z0-9]{1,10}(?: \[(?:input|output|temp)\])?", re.ASCII)
_MODEL = re.compile(r"(?i)\.(safetensors|sft|gguf|ckpt|pt|pth|bin|onnx)$")


def needed_graph(work: Work, catalog: Mapping[str, NodeSpec]) -> Graph:
    """Return the nodes that a run's targets need, with the defaults of inputs that it lacks.

    Args:
        work: of the run.
        catalog: the node types of the server.
    """
    graph = with_defaults(read_prompt(work.prompt), catalog)

    def sources(node_id: NodeId) -> list[NodeId]:
        return [source for source in graph.nodes[node_id].sources if source in graph.nodes]

    needed, _ = sources_first([name for name in work.targets if name in graph.nodes], sources)
    return replace(graph, nodes={name: graph.nodes[name] for name in needed})


async def upload_inputs(
    graph: Graph, catalog: Mapping[str, NodeSpec], files: Files, connection: ComfyConnection
) -> dict[str, Any]:
    """Upload the files that inputs name; return the prompt with their names on the server.

    A name that is no file here stays as it is, for the server may have it.

    Args:
        graph: the nodes to run.
        catalog: the node types of the server.
        files: the files of the run's owner.
        connection: to the server.

    Raises:
        ComfyAnswerError: the server does not take a file.
        ClientError: the server is gone.
    """
    names: dict[tuple[Path, str], str] = {}
    nodes = dict(graph.nodes)
    for node in graph.nodes.values():
        for spec, value in _file_names(node.inputs, catalog.get(node.type_name)):
            start, path = await asyncio.to_thread(
                _find, files, spec, value, is_local=connection.is_local
            )
            if path is None:
                continue
            folder = FOLDER if spec.input_file or spec.socket == _TEXT else ""
            if (path, folder) not in names:
                names[path, folder] = await _upload(path, folder, files, connection)
            changed = nodes[node.id]
            inputs = {**changed.inputs, spec.name: start + names[path, folder]}
            nodes[node.id] = replace(changed, inputs=inputs)
    return to_prompt(replace(graph, nodes=nodes, sent=None))


def _file_names(
    inputs: Mapping[str, object], spec: NodeSpec | None
) -> Iterator[tuple[InputSpec, str]]:
    """Yield the inputs that may name a file.

    They are choices that users upload, or that are not listed, and paths in single lines of text,
    but for those of nodes that only have outputs to save: these name new files.
    """
    for item in spec.inputs if spec else ():
        value = inputs.get(item.name)
        if isinstance(value, str) and value and spec:
            is_unlisted = item.socket == COMBO and value not in (item.choices or ())
            is_path = not spec.output_node and _is_path(item, value)
            if item.input_file or is_unlisted or is_path:
                yield item, value


def _is_path(item: InputSpec, value: str) -> bool:
    is_line = item.socket == _TEXT and item.widget.get("multiline") is not True
    return is_line and bool(_PATH.fullmatch(value)) and not _MODEL.search(value)


def _find(files: Files, spec: InputSpec, name: str, *, is_local: bool) -> tuple[str, Path | None]:
    """Return the file that a value names, and what its name there has to begin with.

    A text names it in the input folder, or as `input/…`, or by the whole path, if that is in the
    owner's input folder; a server on this machine reads that itself.
    """
    start, inner = "", name
    if spec.socket == _TEXT:
        root = f"{files.root('input').absolute()}/"
        begins = (_INPUT,) if is_local else (root, _INPUT)
        begin = next((begin for begin in begins if name.startswith(begin)), "")
        start, inner = _INPUT if begin else "", name.removeprefix(begin)
    try:
        return start, files.input(inner)
    except (NodeGraphError, OSError, ValueError):
        return "", None


async def _upload(path: Path, folder: str, files: Files, connection: ComfyConnection) -> str:
    """Upload a file under a name that its content makes, so that no other file is replaced."""
    digest = await asyncio.to_thread(files.identity, path)
    name = f"{'' if folder else f'{FOLDER}-'}{digest[:_DIGITS]}{path.suffix.lower()}"
    with path.open("rb") as file:
        return await connection.upload(file, name, folder)
