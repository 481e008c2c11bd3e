"""Reads what `/score` is sent: a workflow, the name of one with values, or the id of a run."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from nodegraph.cli.assign import assign_values, set_seeds
from nodegraph.files.folders import inside
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import is_list, is_object
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.read import Shapes, read_any, read_workflow
from server.api.v1.handlers.parsing import NO_JSON, MediaTypeError, Submission, parse_body
from server.api.v1.schema.operation import JSON
from server.api.v1.schema.requests import ScoreRequest
from server.errors import UnknownWorkflowError
from server.web.services import Services, services

_SUFFIX = ".json"
_FIELDS = ScoreRequest.model_fields.keys()


async def score_request(request: web.Request) -> ScoreRequest:
    """Return what is asked for; a body that is a workflow itself is the request to run it.

    Raises:
        BadJsonError: the body is not JSON.
        ValidationError: the JSON has the wrong form.
        MediaTypeError: the body is of another media type.
    """
    kind = request.content_type
    if kind.startswith(NO_JSON):
        raise MediaTypeError(kind, f"Send {JSON}.")
    body = parse_body(await request.read())
    return ScoreRequest.model_validate(body if _is_request(body) else {"workflow": body})


async def workflow_to_score(request: web.Request, wanted: ScoreRequest) -> Submission[ScoreRequest]:
    """Return the workflow of a request, with its values and its seed.

    Raises:
        UnknownWorkflowError: the server has no workflow of that name.
        UnsafePathError: the name leads out of the folder.
        InvalidWorkflowError: it is no workflow.
        AssignmentError: a value is for no input of it.
    """
    parts = services(request)
    catalog = {
        **parts.registry.catalog,
        **parts.comfyui.further_specs(parts.registry.catalog),
    }

    def read() -> Graph:
        graph = with_defaults(_read(parts, wanted.workflow), catalog)
        graph = assign_values(graph, wanted.values, catalog)
        return graph if wanted.seed is None else set_seeds(graph, wanted.seed, catalog)

    graph = await asyncio.to_thread(read)
    plain = json.dumps(wanted.model_dump(), sort_keys=True, default=str)
    return Submission(wanted, graph, hashlib.sha256(plain.encode()).hexdigest())


def _is_request(body: object) -> bool:
    """Return False if a body is a workflow itself, in whichever format."""
    if not is_object(body) or is_list(body.get("nodes")):
        return False
    if any(is_object(value) and "class_type" in value for value in body.values()):
        return False
    return "workflow" in body or "id" in body or body.keys() <= _FIELDS


def _read(parts: Services, workflow: object) -> Graph:
    own = parts.registry.catalog
    shapes: Shapes = shapes_of(own, parts.files, parts.comfyui.further_entries(own))
    if isinstance(workflow, str):
        return read_workflow(_find(parts, workflow), shapes)
    return read_any(workflow, shapes)


def _find(parts: Services, name: str) -> Path:
    """Return the file of a named workflow: one that its owner saved in the editor, or else ours."""
    file = name if name.endswith(_SUFFIX) else name + _SUFFIX
    folders = [parts.folder / "files" / "workflows", parts.settings.server.workflows_dir]
    for folder in folders:
        path = inside(folder, file)
        if path.is_file():
            return path
    known = dict.fromkeys(each for folder in folders for each in _names(folder))
    raise UnknownWorkflowError(name, list(known))


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of the workflows in a folder, in order."""
    for path in sorted(folder.rglob(f"*{_SUFFIX}")):
        name = path.relative_to(folder)
        if not any(part.startswith(".") for part in name.parts):
            yield name.as_posix().removesuffix(_SUFFIX)
