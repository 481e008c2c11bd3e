"""`GET /object_info`: descriptions of node types for editors and clients."""

import asyncio

from aiohttp import web

from nodegraph.packs.object_info import object_info
from server.web.services import services


async def get_object_info(request: web.Request) -> web.Response:
    """Reply with all node types."""
    parts = services(request)
    catalog = parts.registry.catalog
    return web.json_response(
        await asyncio.to_thread(
            lambda: {name: object_info(spec, parts.files) for name, spec in catalog.items()}
        )
    )


async def get_one(request: web.Request) -> web.Response:
    """Reply with one node type; with `{}` if there is none of that name."""
    parts = services(request)
    name = request.match_info["name"]
    spec = parts.registry.catalog.get(name)
    found = {name: await asyncio.to_thread(object_info, spec, parts.files)} if spec else {}
    return web.json_response(found)
