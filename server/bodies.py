"""What requests carry, read with care."""

from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.plain import is_object
from nodegraph.workflow.parse import parse_json


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
