"""Reads and checks requests, and makes replies."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from aiohttp import web
from multidict import MultiMapping
from pydantic import BaseModel

from nodegraph.errors import InvalidWorkflowError, NodeGraphError
from nodegraph.graph.graph import Graph
from nodegraph.graph.json_values import parse_json, refuse
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.validation.defaults import with_defaults
from nodegraph.workflow.embedded import carries_texts
from nodegraph.workflow.read import Shapes, read_any, read_workflow
from server.api.v1.schema.operation import IMAGES
from server.api.v1.schema.requests import Placement, WorkflowRequest
from server.errors import ServerError
from server.web.services import services

Model = TypeVar("Model", bound=BaseModel)
Sent = TypeVar("Sent", bound=WorkflowRequest)
Placed = TypeVar("Placed", bound=Placement)
NO_JSON = ("image/", "audio/", "video/", "multipart/")
"""The beginnings of media types that are not JSON, whatever the body is."""


class RepeatedParameterError(NodeGraphError):
    """A query parameter occurs more than once."""

    code = "repeated_parameter"

    def __init__(self, name: str) -> None:
        super().__init__(f"the parameter {name!r} occurs more than once.")


class MediaTypeError(ServerError):
    """The media type of the body is not supported."""

    code = "unsupported_media_type"
    status = 415

    def __init__(self, kind: str, hint: str = "") -> None:
        either = f"Send application/json, or one of {', '.join(IMAGES)} that contains a workflow."
        super().__init__(
            f"the media type {kind[:80]!r} is not supported here.", hint=hint or either
        )


class BadJsonError(ServerError):
    """The body is not JSON."""

    code = "bad_json"
    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__(reason, hint='Send {"workflow": {…}}.')


@dataclass(frozen=True, slots=True)
class Submission(Generic[Placed]):
    """A workflow from a request."""

    wanted: Placed
    graph: Graph
    digest: str
    """Hash of the request, which tells it from different ones."""


def query_of(request: web.Request, model: type[Model]) -> Model:
    """Return the parameters of the query as a model.

    Raises:
        ValidationError: a parameter is wrong.
        RepeatedParameterError: a parameter occurs twice.
    """
    return model.model_validate(_single(request.query))


def headers_of(request: web.Request, model: type[Model]) -> Model:
    """Return the headers that a model names.

    Raises:
        ValidationError: a header is wrong.
    """
    names = (field.alias for field in model.model_fields.values() if field.alias)
    return model.model_validate({n: request.headers[n] for n in names if n in request.headers})


async def workflow_of(request: web.Request, model: type[Sent]) -> Submission[Sent]:
    """Read the workflow of a request, from JSON or from an image; it may lack defaults.

    Raises:
        InvalidWorkflowError: the workflow is malformed.
        BadJsonError: the body is not JSON.
        ValidationError: the JSON has the wrong form.
        MediaTypeError: the body is of another media type.
    """
    kind = request.content_type
    if kind.startswith(NO_JSON) and kind not in IMAGES:
        raise MediaTypeError(kind)
    data = await request.read()
    parts = services(request)
    own = parts.registry.catalog
    shapes = shapes_of(own, parts.files, parts.comfyui.further_entries(own))
    catalog = {**own, **parts.comfyui.further_specs(own)}
    sent = await asyncio.to_thread(_submission, data, kind, model, shapes)
    return replace(sent, graph=with_defaults(sent.graph, catalog))


def reply(
    model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a reply with a model as JSON."""
    # JSON in ASCII: ComfyUI's routes accept text that UTF-8 cannot encode.
    return web.Response(
        text=json.dumps(model.model_dump()),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def parse_body(data: bytes) -> object:
    """Parse JSON whose strings can be stored.

    Raises:
        BadJsonError: it is something else.
    """
    try:
        value = parse_json(data)
    except InvalidWorkflowError as error:
        raise BadJsonError(error.problems[0].message) from error
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        reason = "a string has half of a surrogate pair."
        raise BadJsonError(reason) from error
    return value


def _submission(data: bytes, kind: str, model: type[Sent], shapes: Shapes) -> Submission[Sent]:
    if carries_texts(data):
        wanted = model.model_validate({"workflow": base64.b64encode(data).decode()})
    elif kind in IMAGES:
        refuse(f"the body is not {kind}.")
    else:
        wanted = model.model_validate(parse_body(data))
    graph = _graph(wanted, shapes)
    plain = json.dumps(wanted.model_dump(), sort_keys=True, default=str)
    return Submission(wanted, graph, hashlib.sha256(plain.encode()).hexdigest())


def _graph(wanted: WorkflowRequest, shapes: Shapes) -> Graph:
    if not isinstance(wanted.workflow, str):
        return read_any(wanted.workflow, shapes)
    try:
        data = base64.b64decode(wanted.workflow, validate=True)
    except ValueError:
        refuse("the workflow is a string, but not base64.")
    return read_workflow(data, shapes)


def _single(values: MultiMapping[str]) -> dict[str, str]:
    for name in values:
        if len(values.getall(name)) > 1:
            raise RepeatedParameterError(name)
    return dict(values)
