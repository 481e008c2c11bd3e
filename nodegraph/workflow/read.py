"""Workflow files to graphs and back: tells the formats apart and reads them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nodegraph.errors import InvalidPromptError, InvalidWorkflowError, MendedFile
from nodegraph.graph.graph import Graph, Node
from nodegraph.graph.json_values import is_object, parse_json, refuse
from nodegraph.workflow.api_format import read_prompt, to_prompt
from nodegraph.workflow.editor.read import Shapes, read_editor
from nodegraph.workflow.embedded import FORMATS, carries_texts, texts_of
from nodegraph.workflow.infotext import KEYWORD, read_infotext
from nodegraph.workflow.infotext_graph import graph_of
from nodegraph.workflow.wrapped import is_drawing, unwrap

__all__ = ["Shapes", "read_any", "read_prompt", "read_workflow", "to_prompt"]

_PAGES = (b"<!doctype html", b"<html")


def read_workflow(source: Path | str | bytes, shapes: Shapes | None = None) -> Graph:
    """Read a graph from a workflow file: JSON, or a picture, sound or video that carries one.

    A file that carries both the API format (`prompt`) and the editor's (`workflow`) is read
    by the first and keeps the second. If one is broken, the other one is read. An image that has
    A1111's parameters instead is read as a workflow that is made of them.

    Args:
        source: a path, or the content of a file.
        shapes: looks up how the editor draws a node type (`nodegraph.packs.editor_shapes`), for the
            editor's format; if None, that format is refused.

    Raises:
        InvalidWorkflowError: it cannot be read, or is no workflow.
    """
    data = source if isinstance(source, bytes) else _read(Path(source))
    if not carries_texts(data):
        name = "" if isinstance(source, bytes) else str(source)
        return read_any(_parse_file(data, name), shapes)
    texts = texts_of(data)
    return _with_versions(_read_texts(texts, shapes), texts.get("nodegraph"))


def read_any(
    value: object, shapes: Shapes | None, editor: Mapping[str, object] | None = None
) -> Graph:
    """Read a graph from parsed JSON in any format: the API's, bare or submitted, or the editor's.

    Args:
        value: the parsed JSON; a workflow in an object of another program is found (`wrapped`).
        shapes: looks up how the editor draws a node type; None refuses the editor's format.
        editor: the editor's description of the same graph, for the API format.

    Raises:
        InvalidWorkflowError: it is no workflow; names everything that is wrong.
    """
    found = unwrap(value)
    if found.prompt is not None:
        return read_prompt(found.prompt, editor or found.drawing)
    if found.drawing is None or shapes is None:
        return read_prompt(found.drawing)
    return read_editor(found.drawing, shapes)


def _with_versions(graph: Graph, text: str | None) -> Graph:
    """Return the graph with the versions of its types, as nodegraph's own text in a file has them.

    A version that a node itself names goes before them.
    """
    try:
        made = parse_json(text) if text else None
    except InvalidWorkflowError:
        return graph
    versions = made.get("versions") if is_object(made) else None
    if not is_object(versions):
        return graph
    nodes: dict[str, Node] = {}
    for key, node in graph.nodes.items():
        version = versions.get(node.type_name)
        known = node.version is None and isinstance(version, str)
        nodes[key] = replace(node, version=version) if known else node
    return replace(graph, nodes=nodes)


def _read_texts(texts: Mapping[str, str], shapes: Shapes | None) -> Graph:
    """Read the graph of a file by the texts that it carries.

    Raises:
        InvalidWorkflowError: neither `prompt` nor `workflow` is a workflow.
    """
    if "prompt" not in texts and "workflow" not in texts:
        if "comment" in texts and texts["comment"].lstrip().startswith("{"):
            return read_any(parse_json(texts["comment"]), shapes)
        info = read_infotext(texts.get(KEYWORD, ""))
        if info:
            return graph_of(info)
        others = KEYWORD in texts
        hint = "It has other parameters only." if others else "Was its metadata removed?"
        refuse("the file carries no workflow.", hint)
    editor = _drawing_in(texts.get("workflow"))
    if "prompt" not in texts:
        return read_any(parse_json(texts["workflow"]), shapes)
    try:
        prompt = parse_json(texts["prompt"])
        if not prompt:
            refuse("it is empty.")
        return read_any(prompt, shapes, editor)
    except InvalidWorkflowError as error:
        if editor is None or shapes is None:
            raise
        graph = read_any(editor, shapes)
        reason = error.problems[0].message
        message = f"the file's 'prompt' can not be read: {reason} Its 'workflow' is read instead."
        return replace(graph, remarks=(*graph.remarks, MendedFile(message)))


def _drawing_in(text: str | None) -> Mapping[str, object] | None:
    """Return the editor's description of a graph that a text holds; None if it holds none."""
    try:
        value = parse_json(text) if text else None
    except InvalidWorkflowError:
        return None
    return value if is_object(value) and is_drawing(value) else None


def _parse_file(data: bytes, name: str) -> object:
    """Parse the JSON in a file; its name, if it has one, begins the errors.

    Raises:
        InvalidWorkflowError: it is empty, binary, or no JSON that `parse_json` takes.
    """
    try:
        return parse_json(data)
    except InvalidWorkflowError as error:
        _refuse_other(data, name or "the workflow")
        if not name:
            raise
        reasons = " ".join(problem.message for problem in error.problems)
        refuse(f"{name}: {reasons}")


def _refuse_other(data: bytes, name: str) -> None:
    """Refuse what is no JSON by what it is; return if nothing is known of it.

    Raises:
        InvalidWorkflowError: it is empty, a web page, binary, or a text in another encoding.
    """
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        refuse(f"{name} is empty.")
    if text[:20].lower().startswith(_PAGES):
        hint = (
            "Download the file itself: GitHub has it behind 'Raw', Hugging Face behind 'download'."
        )
        refuse(f"{name} is a web page (HTML), not a workflow.", hint)
    try:
        text.decode()
    except UnicodeDecodeError as error:
        if b"\0" not in text and text.startswith((b"{", b"[")):
            byte = text[error.start]
            refuse(
                f"{name} is a text, but not in UTF-8: it has the byte {byte:#04x}.",
                "Save it as UTF-8.",
            )
    else:
        if b"\0" not in text:
            return
    refuse(f"{name} is binary: neither JSON nor a {FORMATS} file.")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        problem = InvalidPromptError(f"cannot read {path}: {reason}.")
        raise InvalidWorkflowError([problem]) from error
