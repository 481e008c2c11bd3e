"""Workflow files to graphs and back: tells the formats apart and reads them."""

from pathlib import Path

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError
from nodegraph.graph import Graph
from nodegraph.plain import is_object
from nodegraph.workflow.embedded import PNG, RIFF, texts_of
from nodegraph.workflow.parse import parse_json, refuse
from nodegraph.workflow.prompt import read_prompt, to_prompt

__all__ = ["read_prompt", "read_workflow", "to_prompt"]


def read_workflow(source: Path | str | bytes) -> Graph:
    """A graph out of a workflow file: JSON, or a PNG or WebP that carries one.

    An image that carries both the API format (`prompt`) and the editor's (`workflow`) is
    read by the first and keeps the second.

    Args:
        source: a path, or what is in the file.

    Raises:
        InvalidWorkflowError: it cannot be read, or is no workflow.
    """
    data = source if isinstance(source, bytes) else _read(Path(source))
    if not data.startswith((PNG, RIFF)):
        return read_prompt(parse_json(data))
    texts = texts_of(data)
    if "prompt" not in texts and "workflow" not in texts:
        refuse("the image carries no workflow.", "Was its metadata removed?")
    editor = parse_json(texts["workflow"]) if "workflow" in texts else None
    if "prompt" not in texts:
        return read_prompt(editor)
    return read_prompt(parse_json(texts["prompt"]), editor if is_object(editor) else None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = InvalidPromptError(f"cannot read {path}: {reason}.")
        raise InvalidWorkflowError([problem]) from error
