"""The editor's page, its files and the scripts of packs; or else a page on how to install it."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from aiohttp import web

from nodegraph.packs.installed import LoadedPack
from server.api.editor.packages import EditorFiles
from server.api.editor.server_scripts import ServerScripts
from server.api.editor.static import find_file, send

_EXTENSIONS = "extensions"
PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nodegraph</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 38rem; margin: 4rem auto; padding: 0 1rem;
       color: #222; background: #fff }
code, pre { font-family: ui-monospace, monospace; background: #f2f2f2; border-radius: 4px }
code { padding: .1em .3em }
pre { padding: .8em 1em; overflow-x: auto }
a { color: #0b57d0 }
@media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b }
  code, pre { background: #2c2c2c }
  a { color: #8ab4f8 }
}
</style>
</head>
<body>
<h1>nodegraph is running</h1>
<p>It takes graphs over HTTP. ComfyUI's web editor can run on it too, but is not installed here:</p>
<pre>pip install "nodegraph[ui]"</pre>
<p>Then start <code>nodegraph serve</code> again and reload this page.</p>
<ul>
<li><a href="/v1/docs">The API for applications</a></li>
<li><a href="/queue">The queue</a> and <a href="/history">what has run</a>, as ComfyUI's clients
see them</li>
<li><a href="/object_info">The node types</a></li>
<li><a href="/readyz">Whether it is ready</a></li>
</ul>
</body>
</html>
"""


_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob: https:",
        "media-src 'self' data: blob: https:",
        "font-src 'self' data:",
        "connect-src 'self' ws: wss: data: blob: https:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
"""The policy: scripts only from this server, some compiled by the editor; images from anywhere."""


class Pages:
    """Serves the page, its files, and the scripts of packs.

    Args:
        files: the folders of the editor's files.
        packs: returns the packs, some of which have scripts.
        theirs: the scripts of ComfyUI servers.
    """

    def __init__(
        self,
        files: EditorFiles,
        packs: Callable[[], Iterable[LoadedPack]],
        theirs: ServerScripts,
    ) -> None:
        self._files = files
        self._packs = packs
        self._theirs = theirs

    def add(self, app: web.Application) -> None:
        """Add a route for each file and folder of the editor."""
        router = app.router
        router.add_get("/", self._index if self._files.static else _explain)
        router.add_get("/templates/{name:.+}", self._template)
        router.add_get("/docs/{name:.+}", self._doc)
        router.add_get(f"/{_EXTENSIONS}/{{pack}}/{{name:.+}}", self._extension)
        for path in sorted(self._files.static.iterdir()) if self._files.static else ():
            rest = f"{path.name}/{{rest:.+}}" if path.is_dir() else path.name
            router.add_get(f"/{rest}", self._static)

    def scripts(self) -> list[str]:
        """Return the paths of the scripts of all extensions, as `/extensions` lists them."""
        static = self._files.static
        folders = {"": static / _EXTENSIONS} if static else {}
        folders |= {f"{name}/": folder for name, folder in self._pack_folders().items()}
        own = {
            f"/{_EXTENSIONS}/{owner}{path.relative_to(folder).as_posix()}"
            for owner, folder in folders.items()
            for path in folder.rglob("*.js")
        }
        return sorted((*own, *self._theirs.paths(self._names_here())))

    def _names_here(self) -> list[str]:
        """Return the names of the extensions that are here."""
        static = self._files.static
        folder = static / _EXTENSIONS if static else None
        editor = [path.name for path in folder.iterdir()] if folder and folder.is_dir() else []
        return [*editor, *self._pack_folders()]

    def _pack_folders(self) -> dict[str, Path]:
        """Return the folders of scripts of packs, by the names of the extensions."""
        own = {pack.name: pack.web for pack in self._packs() if pack.web}
        return {**own, **self._named_folders()}

    def _named_folders(self) -> dict[str, Path]:
        """Return the folders that packs have served as extensions of other names than theirs."""
        start = f"/{_EXTENSIONS}/"
        return {
            path.removeprefix(start): folder
            for pack in self._packs()
            for path, folder in pack.folders.items()
            if path.startswith(start)
        }

    async def _index(self, _request: web.Request) -> web.StreamResponse:
        page = find_file([self._files.static], "index.html")
        return send(page, Cache_Control="no-cache", Content_Security_Policy=_POLICY)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return await _send_file((self._files.static,), request.path.lstrip("/"))

    async def _extension(self, request: web.Request) -> web.StreamResponse:
        """Reply with a file of a pack, of one of the editor's own extensions, or of a server's."""
        name, rest = request.match_info["pack"], request.match_info["name"]
        folders = [pack.web for pack in self._packs() if pack.name == name]
        folders += [folder for key, folder in self._named_folders().items() if key == name]
        if folders:
            return await _send_file(tuple(folders), rest)
        taken = self._names_here()
        if self._files.static and name in taken:
            return await _send_file((self._files.static / _EXTENSIONS,), f"{name}/{rest}")
        return await self._theirs.reply(name, rest, taken)

    async def _template(self, request: web.Request) -> web.StreamResponse:
        return await _send_file(self._files.templates, request.match_info["name"])

    async def _doc(self, request: web.Request) -> web.StreamResponse:
        return await _send_file((self._files.docs,), request.match_info["name"])


async def _send_file(folders: tuple[Path | None, ...], name: str) -> web.StreamResponse:
    return send(await asyncio.to_thread(find_file, folders, name), Cache_Control="no-cache")


async def _explain(_request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    return web.Response(text=PAGE, content_type="text/html", headers=headers)
