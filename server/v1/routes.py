"""Where `/v1` is found; what is there is imported when it is first asked for."""

import asyncio
from collections.abc import Mapping
from functools import cache

from aiohttp import web

from server.security import Handler

DOCUMENT = "/openapi.json"
PAGE = "/v1/docs"
PATHS = (
    ("POST", "/v1/runs"),
    ("GET", "/v1/runs"),
    ("GET", "/v1/runs/{run}"),
    ("DELETE", "/v1/runs/{run}"),
    ("GET", "/v1/runs/{run}/workflow"),
    ("GET", "/v1/runs/{run}/events"),
    ("GET", "/v1/runs/{run}/outputs"),
    ("GET", "/v1/runs/{run}/outputs/{number}"),
    ("POST", "/v1/runs/{run}/cancel"),
    ("POST", "/v1/runs/{run}/retry"),
    ("POST", "/v1/generate"),
    ("POST", "/v1/validate"),
    ("GET", "/v1/node-types"),
    ("GET", "/v1/node-types/{name}"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{folder}"),
)
"""The methods and paths of `server.v1.operations`, which takes a tenth of a second to import."""


def add_v1(app: web.Application) -> None:
    """Add them."""
    for method, path in PATHS:
        app.router.add_route(method, path, _later(method, path))
    app.router.add_get(DOCUMENT, _document, allow_head=False)
    app.router.add_get(PAGE, _page, allow_head=False)


def _later(method: str, path: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        handlers = await asyncio.to_thread(_handlers)
        return await handlers[method, path](request)

    return handler


@cache
def _handlers() -> Mapping[tuple[str, str], Handler]:
    from server.v1.operations import OPERATIONS

    return {(each.method, each.path): each.handler for each in OPERATIONS}


async def _document(_request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(_described))


def _described() -> object:
    from server.v1.openapi import document
    from server.v1.operations import OPERATIONS

    return document(OPERATIONS)


async def _page(_request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    text = await asyncio.to_thread(_drawn)
    return web.Response(text=text, content_type="text/html", headers=headers)


def _drawn() -> str:
    from server.v1.operations import OPERATIONS
    from server.v1.page import page

    return page(OPERATIONS)
