"""What requests carry, read with care."""

import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.plain import is_clean, is_list, is_object
from nodegraph.workflow.parse import parse_json

_NATURAL = re.compile("[0-9]{1,15}")


async def read_object(request: web.Request) -> dict[str, Any]:
    """A JSON object, whatever the content type says; an empty body is an empty object.

    Raises:
        HTTPBadRequest: it is something else.
    """
    data = await request.read()
    if not data.strip():
        return {}
    try:
        value = parse_json(data)
    except InvalidWorkflowError as error:
        raise web.HTTPBadRequest(text=f"400: {error}\n") from error
    if not is_object(value):
        raise web.HTTPBadRequest(text="400: this has to be a JSON object.\n")
    return dict(value)


def ids_in(body: Mapping[str, Any], name: str) -> list[str]:
    """A list of ids that a body may have; ids that cannot be any run's are left out.

    Raises:
        HTTPBadRequest: it is something else.
    """
    value = body.get(name)
    if value is None:
        return []
    if not is_list(value):
        raise web.HTTPBadRequest(text=f"400: {name} is no list of ids.\n")
    return [item for item in value if isinstance(item, str) and is_clean(item)]


def natural(request: web.Request, name: str, default: int) -> int:
    """A query parameter that counts; the default if it is not there, or negative.

    Raises:
        HTTPBadRequest: it is no number.
    """
    text = request.query.get(name, "")
    if not text:
        return default
    found = number_in(text.removeprefix("-"))
    if found is None:
        raise web.HTTPBadRequest(text=f"400: {name} is no number.\n")
    return default if text.startswith("-") else found


def number_in(text: str) -> int | None:
    """What up to 15 digits say; None for anything else."""
    return int(text) if _NATURAL.fullmatch(text) else None
