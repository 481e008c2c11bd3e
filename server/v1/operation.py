"""A route of `/v1` with all that its OpenAPI entry needs; one list serves both."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from nodegraph.errors import NodeGraphError
from nodegraph.workflow.parse import parse_json
from server.v1.models import Finding
from server.v1.problems import problem, told

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or a header."""

    name: str
    description: str
    kind: str = "string"
    place: str = "query"
    minimum: int | None = None
    maximum: int | None = None
    choices: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. Its summary and description are the handler's docstring."""

    method: str
    path: str
    handler: Handler
    takes: type[BaseModel] | None = None
    gives: type[BaseModel] | None = None
    status: int = 200
    others: Mapping[int, str] = field(default_factory=dict[int, str])
    """Further statuses, and when."""
    parameters: Sequence[Parameter] = ()
    media: str = "application/json"


def route(operation: Operation) -> Handler:
    """The operation's handler, with errors told as problems."""

    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await operation.handler(request)
        except NodeGraphError as error:
            return told(error)
        except ValidationError as error:
            findings = [_finding(item["loc"], item["msg"]) for item in error.errors()]
            return problem(422, "bad_request", "The request is not as it should be.", "", findings)

    return handler


async def body_of(request: web.Request, model: type[Model]) -> Model:
    """The request's body.

    Raises:
        InvalidWorkflowError: it is no JSON.
        ValidationError: it is JSON of another shape.
    """
    return model.model_validate(parse_json(await request.read()))


def reply(model: BaseModel, status: int = 200, **headers: str) -> web.Response:
    """A model as JSON."""
    return web.Response(
        text=model.model_dump_json(),
        status=status,
        headers=headers,
        content_type="application/json",
    )


def natural(request: web.Request, name: str, default: int, most: int) -> int:
    """A query parameter that counts.

    Raises:
        BadParameterError: it does not.
    """
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal()) or int(text) > most:
        raise BadParameterError(name, f"a whole number from 0 to {most}")
    return int(text)


class BadParameterError(NodeGraphError):
    """A query parameter has no meaning."""

    code = "bad_parameter"

    def __init__(self, name: str, wanted: str) -> None:
        super().__init__(f"the parameter {name!r} has to be {wanted}.")


def _finding(place: Sequence[int | str], message: str) -> Finding:
    return Finding(
        code="bad_request",
        message=message,
        hint="",
        node_id=None,
        input_name=".".join(map(str, place)),
        details={},
    )
