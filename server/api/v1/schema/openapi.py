"""The OpenAPI 3.1 document of a list of operations."""

import inspect
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel

from server.api.v1.schema.models import Problem
from server.api.v1.schema.operation import IMAGES, JSON, Operation, Reply
from server.api.v1.schema.paths import ROOT
from server.api.v1.schema.problems import TYPE

_REFERENCE = "#/components/schemas/{model}"
_NAMES = r"\{(\w+)\}"
_PATH_PARAMETERS = {
    "run": "The id of the run.",
    "number": "The number of the output, from 0.",
    "name": "The name of the node type.",
    "folder": "The name of the folder.",
}
_DESCRIPTION = (
    "Runs workflows and returns their images. Errors are application/problem+json; an accepted"
    " run is stored on disk."
)


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document."""
    links = _links(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _entry(operation, links)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "nodegraph",
            "version": version("nodegraph"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas(operations),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def schemas(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the schemas of all models of bodies, by name."""
    takes = {operation.takes for operation in operations if operation.takes}
    gives = {reply.model for item in operations for reply in item.replies.values() if reply.model}
    modes = [(model, "validation") for model in takes]
    modes += [(model, "serialization") for model in {*gives, Problem}]
    named = sorted(modes, key=lambda item: item[0].__name__)
    from pydantic.json_schema import models_json_schema  # here: the server starts sooner

    _, found = models_json_schema(named, ref_template=_REFERENCE)  # pyright: ignore[reportArgumentType]
    return found["$defs"]


def parameters(operation: Operation) -> list[dict[str, Any]]:
    """Return the parameters in an operation's path, query and headers."""
    path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": _PATH_PARAMETERS[name],
            "schema": {"type": "string"},
        }
        for name in re.findall(_NAMES, operation.path)
    ]
    query = _parameters(operation.query, "query") if operation.query else []
    return [*path, *query, *(_parameters(operation.headers, "header") if operation.headers else [])]


def summary(operation: Operation) -> tuple[str, str]:
    """Return the first line of the handler's docstring, and the rest."""
    first, _, rest = (inspect.getdoc(operation.handler) or "").partition("\n")
    return first, rest.strip()


def tag(operation: Operation) -> str:
    """Return the group that an operation belongs to."""
    return operation.path.removeprefix(ROOT).split("/")[1]


def _parameters(model: type[BaseModel], place: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, schema in model.model_json_schema()["properties"].items():
        schema.pop("title", None)
        entry = {"name": name, "in": place, "required": False}
        entry["description"] = schema.pop("description", "")
        entry["schema"] = _without_null(schema)
        if entry["schema"].get("type") == "array":
            entry |= {"style": "form", "explode": False}
        found.append(entry)
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without null: a query or a header can be missing, but not null."""
    choices = [one for one in schema.pop("anyOf", []) if one.get("type") != "null"]
    if schema.get("default", ...) is None:
        del schema["default"]
    return {**schema, **choices[0]} if len(choices) == 1 else schema


def _entry(operation: Operation, links: dict[str, Any]) -> dict[str, Any]:
    first, rest = summary(operation)
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [tag(operation)],
        "summary": first,
        "description": rest,
        "parameters": parameters(operation),
        "responses": {str(status): _reply(one, links) for status, one in operation.replies.items()},
    }
    problem = {TYPE: {"schema": _reference(Problem)}}
    entry["responses"]["default"] = {"description": "An error.", "content": problem}
    if operation.takes:
        content: dict[str, Any] = {JSON: {"schema": _reference(operation.takes)}}
        if operation.pictures:
            content |= {kind: {"schema": _binary()} for kind in IMAGES}
        entry["requestBody"] = {"required": True, "content": content}
    return entry


def _links(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return links from a new run to the operations on it."""
    parameters = {"run": "$response.header.Nodegraph-Run"}
    return {
        operation.name: {"operationId": operation.name, "parameters": parameters}
        for operation in operations
        if re.findall(_NAMES, operation.path) == ["run"]
    }


def _reply(one: Reply, links: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {JSON: {"schema": _reference(one.model)}} if one.model else {}
    for kind in one.media:
        content[kind] = {"schema": {"type": "string"} if kind.startswith("text/") else _binary()}
    reply: dict[str, Any] = {"description": one.description}
    if content:
        reply["content"] = content
    if one.headers:
        reply["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in one.headers.items()
        }
        reply["links"] = links
    return reply


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _binary() -> dict[str, str]:
    return {"type": "string", "format": "binary"}
