"""The editor's settings: one JSON file, read and written whole."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.json_values import is_object, parse_json
from server.api.editor.user_files import staged_file
from server.web.request_bodies import read_object

_MOST = 2**20
"""The most bytes of all settings together."""


class Preferences:
    """The routes of the editor's settings.

    Args:
        path: returns the file of a request's owner, which may not exist yet.
    """

    def __init__(self, path: Callable[[web.Request], Path]) -> None:
        self._path = path
        self._changing = asyncio.Lock()

    async def get_all(self, request: web.Request) -> web.Response:
        """Reply with all settings by name."""
        return web.json_response(await asyncio.to_thread(_read, self._path(request)))

    async def get_one(self, request: web.Request) -> web.Response:
        """Reply with one setting; null if it was never set."""
        values = await asyncio.to_thread(_read, self._path(request))
        return web.json_response(values.get(request.match_info["id"]))

    async def post_all(self, request: web.Request) -> web.Response:
        """Set several settings."""
        await self._change(request, await read_object(request))
        return web.Response()

    async def post_one(self, request: web.Request) -> web.Response:
        """Set one setting to any JSON value."""
        try:
            value = parse_json(await request.read())
        except InvalidWorkflowError as error:
            raise web.HTTPBadRequest(text=f"400: {error}\n") from error
        await self._change(request, {request.match_info["id"]: value})
        return web.Response()

    async def _change(self, request: web.Request, values: dict[str, Any]) -> None:
        async with self._changing:
            await asyncio.to_thread(_merge, self._path(request), values)


def _merge(path: Path, values: dict[str, Any]) -> None:
    data = json.dumps(_read(path) | values, indent=1).encode()
    if len(data) > _MOST:
        raise web.HTTPRequestEntityTooLarge(max_size=_MOST, actual_size=len(data))
    with staged_file(path, data) as part:
        part.replace(path)


def _read(path: Path) -> dict[str, Any]:
    """Return the settings in a file; none if it does not exist.

    Raises:
        HTTPInternalServerError: the file is not a JSON object.
    """
    if not path.is_file():
        return {}
    try:
        values = parse_json(path.read_bytes())
    except InvalidWorkflowError as error:
        raise _damage_error(path) from error
    if not is_object(values):
        raise _damage_error(path)
    return values


def _damage_error(path: Path) -> web.HTTPInternalServerError:
    text = f"500: {path} is damaged. Repair it, or delete it to begin without settings.\n"
    return web.HTTPInternalServerError(text=text)
