"""Workflow files to graphs and back: tells the formats apart and reads them."""

from collections.abc import Mapping
from pathlib import Path

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import is_list, is_object, parse_json, refuse
from nodegraph.workflow.api_format import read_prompt, to_prompt
from nodegraph.workflow.editor.read import Shapes, read_editor
from nodegraph.workflow.embedded import CARRIERS, texts_of

__all__ = ["Shapes", "read_any", "read_prompt", "read_workflow", "to_prompt"]


def read_workflow(source: Path | str | bytes, shapes: Shapes | None = None) -> Graph:
    """Read a graph from a workflow file: JSON, or a PNG, WebP, JPEG or FLAC that carries one.

    A file that carries both the API format (`prompt`) and the editor's (`workflow`) is read
    by the first and keeps the second.

    Args:
        source: a path, or the content of a file.
        shapes: looks up how the editor draws a node type (`nodegraph.packs.editor_shapes`), for the
            editor's format; if None, that format is refused.

    Raises:
        InvalidWorkflowError: it cannot be read, or is no workflow.
    """
    data = source if isinstance(source, bytes) else _read(Path(source))
    if not data.startswith(CARRIERS):
        name = "" if isinstance(source, bytes) else str(source)
        return read_any(_parse_file(data, name), shapes)
    texts = texts_of(data)
    if "prompt" not in texts and "workflow" not in texts:
        refuse("the file carries no workflow.", "Was its metadata removed?")
    editor = parse_json(texts["workflow"]) if "workflow" in texts else None
    if "prompt" not in texts:
        return read_any(editor, shapes)
    return read_any(parse_json(texts["prompt"]), shapes, editor if is_object(editor) else None)


def read_any(
    value: object, shapes: Shapes | None, editor: Mapping[str, object] | None = None
) -> Graph:
    """Read a graph from parsed JSON in any format: the API's, bare or submitted, or the editor's.

    Args:
        value: the parsed JSON.
        shapes: looks up how the editor draws a node type; None refuses the editor's format.
        editor: the editor's description of the same graph, for the API format.

    Raises:
        InvalidWorkflowError: it is no workflow; names everything that is wrong.
    """
    canvas = _editor_workflow(value)
    if canvas is None or shapes is None:
        return read_prompt(value, editor)
    return read_editor(canvas, shapes)


def _editor_workflow(value: object) -> Mapping[str, object] | None:
    """Return the workflow in editor format that `value` is or has under `prompt`, or None."""
    if not is_object(value):
        return None
    inner = value.get("prompt")
    for found in (value, inner):
        if is_object(found) and is_list(found.get("nodes")):
            return found
    return None


def _parse_file(data: bytes, name: str) -> object:
    """Parse the JSON in a file; its name, if it has one, begins the errors.

    Raises:
        InvalidWorkflowError: it is empty, binary, or no JSON that `parse_json` takes.
    """
    try:
        return parse_json(data)
    except InvalidWorkflowError as error:
        if not data.strip():
            refuse(f"{name or 'the workflow'} is empty.")
        if not name:
            raise
        if _is_binary(data):
            refuse(f"{name} is binary: neither JSON nor a PNG, WebP, JPEG or FLAC file.")
        reasons = " ".join(problem.message for problem in error.problems)
        refuse(f"{name}: {reasons}")


def _is_binary(data: bytes) -> bool:
    """Return True if data are no text in UTF-8."""
    try:
        return "\0" in data.decode()
    except UnicodeDecodeError:
        return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = InvalidPromptError(f"cannot read {path}: {reason}.")
        raise InvalidWorkflowError([problem]) from error
