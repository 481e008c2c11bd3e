"""Reads the JSON bodies and the query parameters of requests, and refuses malformed ones."""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.json_values import is_clean, is_list, is_object, parse_json

_NATURAL = re.compile("[0-9]{1,15}")


async def read_object(request: web.Request) -> dict[str, Any]:
    """Read a JSON object, whatever the content type says; an empty body is an empty object.

    Raises:
        HTTPBadRequest: the body is something else.
    """
    data = await request.read()
    if not data.strip():
        return {}
    try:
        value = parse_json(data)
    except InvalidWorkflowError as error:
        raise web.HTTPBadRequest(text=f"400: {error}\n") from error
    if not is_object(value):
        raise web.HTTPBadRequest(text="400: the body has to be a JSON object.\n")
    return dict(value)


def ids_in(body: Mapping[str, Any], name: str) -> list[str]:
    """Return the list of ids under `name`, without those that cannot be the id of a run.

    Raises:
        HTTPBadRequest: there is something else under that name.
    """
    value = body.get(name)
    if value is None:
        return []
    if not is_list(value):
        raise web.HTTPBadRequest(text=f"400: {name} has to be a list of ids.\n")
    return [item for item in value if isinstance(item, str) and is_clean(item)]


def natural_number(request: web.Request, name: str, default: int) -> int:
    """Return a query parameter as a number; the default if it is missing or negative.

    Raises:
        HTTPBadRequest: it is not a number.
    """
    text = request.query.get(name, "")
    if not text:
        return default
    found = parse_number(text.removeprefix("-"))
    if found is None:
        raise web.HTTPBadRequest(text=f"400: {name} has to be a number.\n")
    return default if text.startswith("-") else found


def parse_number(text: str) -> int | None:
    """Return the number that up to 15 digits stand for; None for anything else."""
    return int(text) if _NATURAL.fullmatch(text) else None
