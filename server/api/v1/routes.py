"""Adds the routes of `/v1`; their handlers are imported at the first request."""

import asyncio
from collections.abc import Mapping
from functools import cache

from aiohttp import web

from server.api.v1.schema.paths import DOCUMENT, PAGE, PATHS
from server.web.security import Handler


def add_v1(app: web.Application) -> None:
    """Add the routes of `/v1` and of its documentation to an application."""
    for name, (method, path) in PATHS.items():
        app.router.add_route(method, path, _lazy_handler(name))
    app.router.add_get(DOCUMENT, _document, allow_head=False)
    app.router.add_get(PAGE, _page, allow_head=False)


def _lazy_handler(name: str) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        handlers = await asyncio.to_thread(_handlers)
        return await handlers[name](request)

    return handler


@cache
def _handlers() -> Mapping[str, Handler]:
    from server.api.v1.operations import OPERATIONS

    return {operation.handler.__name__: operation.handler for operation in OPERATIONS}


async def _document(_request: web.Request) -> web.Response:
    return web.json_response(await asyncio.to_thread(_build_document))


def _build_document() -> object:
    from server.api.v1.operations import OPERATIONS
    from server.api.v1.schema.openapi import document

    return document(OPERATIONS)


async def _page(_request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
    text = await asyncio.to_thread(_render_page)
    return web.Response(text=text, content_type="text/html", headers=headers)


def _render_page() -> str:
    from server.api.v1.handlers.docs_page import page
    from server.api.v1.operations import OPERATIONS

    return page(OPERATIONS)
