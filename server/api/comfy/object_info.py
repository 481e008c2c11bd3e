"""`GET /object_info`: descriptions of node types for editors and clients."""

import json

from aiohttp import web

from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.object_info import object_info
from server.web.services import Services, services
from server.workers.comfyui.node_types import Entry


async def get_object_info(request: web.Request) -> web.Response:
    """Reply with all node types: ours, and those that only ComfyUI servers have."""
    parts = services(request)
    await parts.comfyui.refresh()
    body = await parts.ask_folder(_entries_as_json, parts)
    return web.Response(body=body, content_type="application/json", charset="utf-8")


async def get_one(request: web.Request) -> web.Response:
    """Reply with one node type; with `{}` if there is none of that name."""
    parts = services(request)
    name = request.match_info["name"]
    spec = parts.registry.catalog.get(name)
    if spec is None:
        further = parts.comfyui.further_entries(parts.registry.catalog)
        return web.json_response({name: further[name]} if name in further else {})
    return web.json_response({name: await parts.ask_folder(_entry, parts, spec)})


def _entries_as_json(parts: Services) -> bytes:
    """Return all entries as one JSON object, made one by one so that other threads go on."""
    rows = (f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in _entries(parts).items())
    return f"{{{', '.join(rows)}}}".encode()


def _entries(parts: Services) -> dict[str, Entry]:
    catalog = parts.registry.catalog
    own = {name: _entry(parts, spec) for name, spec in catalog.items()}
    return {**own, **parts.comfyui.further_entries(catalog)}


def _entry(parts: Services, spec: NodeSpec) -> Entry:
    """Return the description of a type of ours, with the files that ComfyUI servers have too."""
    return parts.comfyui.joined_entry(spec.name, object_info(spec, parts.files))
