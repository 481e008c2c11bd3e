"""Facts about the machine and the server's folders."""

import os
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from aiohttp import web

from server.web.services import services

DIALECT = "0.3.64"
"""The version of ComfyUI whose API this is."""
_FOLDERS = ("input", "output", "temp")


async def get_system_stats(request: web.Request) -> web.Response:
    """Reply with the machine, the versions, and the devices of the ready workers."""
    devices = [worker.device for worker in services(request).dispatcher.workers if worker.device]
    system: dict[str, Any] = {
        "os": os.name,
        "ram_total": _memory("SC_PHYS_PAGES"),
        "ram_free": _memory("SC_AVPHYS_PAGES"),
        "comfyui_version": DIALECT,
        "nodegraph_version": version("nodegraph"),
        "python_version": sys.version,
        "pytorch_version": devices[0]["torch"] if devices else version("torch"),
        "embedded_python": False,
        "argv": sys.argv[:1],
    }
    return web.json_response({"system": system, "devices": [_device(item) for item in devices]})


async def get_files(request: web.Request) -> web.Response:
    """Reply with the names of the files in the input, output or temp folder, newest first."""
    kind = request.match_info["kind"]
    if kind not in _FOLDERS:
        raise web.HTTPBadRequest(text=f"400: the folders are {', '.join(_FOLDERS)}.\n")
    parts = services(request)
    folder = parts.files.users.folder(kind)
    return web.json_response(await parts.ask_folder(folder.newest_first))


async def get_replacements(_request: web.Request) -> web.Response:
    """Reply with the replacements for node types; there are none."""
    return web.json_response({})


def _memory(name: str) -> int:
    return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")


def _device(device: Mapping[str, Any]) -> dict[str, Any]:
    """Return a worker's device in ComfyUI's form; torch's own share of memory is not known here."""
    facts = {name: device[name] for name in ("name", "type", "index", "vram_total", "vram_free")}
    held = {"torch_vram_total": device["vram_total"], "torch_vram_free": device["vram_free"]}
    return facts | held
