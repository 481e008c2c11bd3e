"""Scripts and routes of ComfyUI servers' packs, which the editor reaches through this server.

Scripts run in the editor's page, as its user. So they are served only from servers that the
settings trust with that, and a pack of ours goes before one of theirs of the same name.
"""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import TypeAlias
from urllib.parse import quote

from aiohttp import ClientError, web

from nodegraph.errors import NodeGraphError
from server.api.editor.static import TYPES, UNKNOWN
from server.web.file_responses import PICTURES, safe_headers
from server.workers.comfyui.connection import Fetched
from server.workers.comfyui.scripts import PREFIX
from server.workers.comfyui.servers import ComfyServers
from server.workers.comfyui.worker import ComfyWorker

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]
_log = logging.getLogger(__name__)
_API = "/api"
KNOWN_ROUTES = (
    "/easyuse/prompt/styles",
    "/impact/wildcards/list",
    "/inspire/prompt_builder",
    "/pysssss/autocomplete",
    "/pysssss/images/*",
    "/pysssss/loras",
    "/pysssss/view/*",
    "/rgthree/common/*",
    "/rgthree/comfyui/*",
    "/rgthree/config.js",
    "/rgthree/lib/*",
)
"""Paths of common packs that only read, and show nothing of anybody's runs."""
_SCRIPTS = (".js", ".mjs", ".wasm")
_ANSWERS = ("application/json", "text/plain", "text/css")
_SCRIPT_TYPES = ("text/javascript", "application/javascript", "application/x-javascript")
_POLICY = "default-src 'none'; sandbox"
_LONGEST = 4000
_OK, _NOT_FOUND = 200, 404
_MARK = "X-ComfyUI-Server"
"""The header that names the server which an answer comes from."""


class ServerScripts:
    """The scripts of ComfyUI servers' packs.

    Args:
        servers: in the order of the settings; of two with a pack of one name the first is asked.
    """

    def __init__(self, servers: ComfyServers) -> None:
        self._servers = servers

    def paths(self, taken: Iterable[str]) -> list[str]:
        """Return the paths of all scripts.

        Args:
            taken: the names of extensions that are here.
        """
        found = self._packs(taken)
        return [path for pack, worker in found.items() for path in worker.scripts[pack]]

    async def reply(self, pack: str, name: str, taken: Iterable[str]) -> web.StreamResponse:
        """Reply with a file of a server's pack.

        Raises:
            HTTPNotFound: no server has it.
            HTTPBadGateway: the server does not hand it out.
        """
        worker = self._packs(taken).get(pack)
        if worker is None or not _is_inside(name):
            raise web.HTTPNotFound(text="404: there is no such file.\n")
        path = f"{PREFIX}{quote(pack, safe='')}/{quote(name)}"
        found = await _fetch(worker, path)
        if found.status != _OK:
            raise web.HTTPNotFound(text="404: there is no such file.\n")
        suffix = PurePosixPath(name).suffix.lower()
        kind = TYPES.get(suffix, UNKNOWN)
        headers = {"Cache-Control": "no-cache", _MARK: worker.server}
        if suffix not in _SCRIPTS:
            headers["Content-Security-Policy"] = _POLICY
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        headers["Content-Type"] = ("text/plain" if kind == "text/html" else kind) + charset
        return web.Response(body=found.data, headers=headers)

    def _packs(self, taken: Iterable[str]) -> Mapping[str, ComfyWorker]:
        """Return the server of each pack; names differ by more than upper and lower case."""
        seen = {name.casefold() for name in taken}
        found: dict[str, ComfyWorker] = {}
        for worker in self._servers.workers:
            new = [pack for pack in worker.scripts if pack.casefold() not in seen]
            found.update(dict.fromkeys(new, worker))
            seen.update(pack.casefold() for pack in new)
        return found


class ServerRoutes:
    """Answers GET on paths of servers' packs that scripts need, where no route of ours does.

    Args:
        servers: those whose scripts the editor runs are asked, the first one first.
        routes: the paths, besides those that are known; `*` at the end stands for all below.
    """

    def __init__(self, servers: ComfyServers, routes: Collection[str]) -> None:
        self._servers = servers
        every = (*KNOWN_ROUTES, *routes)
        self._exact = {route for route in every if not route.endswith("*")}
        self._starts = tuple(route[:-1] for route in every if route.endswith("*"))

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Have a server answer what no route here does."""
        if request.match_info.http_exception is None or request.method != "GET":
            return await handler(request)
        workers = [worker for worker in self._servers.workers if worker.gives_scripts]
        if not workers or not self._is_listed(request.path.removeprefix(_API)):
            return await handler(request)
        path = request.raw_path.removeprefix(_API)
        for worker in workers:
            found = await _fetch(worker, path)
            if found.status != _NOT_FOUND:
                return _response(found, worker)
        return await handler(request)

    def _is_listed(self, path: str) -> bool:
        is_listed = path in self._exact or path.startswith(self._starts)
        return is_listed and _is_inside(path.removeprefix("/"))


def _is_inside(name: str) -> bool:
    """Say if a decoded path leads out of no folder, and holds nothing odd."""
    parts = name.split("/")
    is_plain = name.isprintable() and "\\" not in name and len(name) <= _LONGEST
    return is_plain and not any(part in ("", ".", "..") for part in parts)


async def _fetch(worker: ComfyWorker, path: str) -> Fetched:
    """Ask a server; it gets nothing of the client's request but the path and the query."""
    try:
        return await worker.fetch(path)
    except (ClientError, TimeoutError, NodeGraphError) as error:
        _log.warning("ComfyUI %s did not answer a script: %s", worker.server, error)
        text = f"502: the ComfyUI server {worker.server!r} does not answer.\n"
        raise web.HTTPBadGateway(text=text) from error


def _response(found: Fetched, worker: ComfyWorker) -> web.Response:
    """Return an answer with the type that it may have in a browser, and no other header."""
    headers = {_MARK: worker.server, "Cache-Control": "no-cache"}
    if found.media_type in _SCRIPT_TYPES:
        headers["Content-Type"] = "text/javascript; charset=utf-8"
    elif found.media_type in _ANSWERS:
        headers |= {"Content-Type": f"{found.media_type}; charset=utf-8"}
        headers |= {"Content-Security-Policy": _POLICY}
    else:
        mime = found.media_type if found.media_type in PICTURES else UNKNOWN
        headers |= safe_headers(mime, "answer")
    return web.Response(status=found.status, body=found.data, headers=headers)
