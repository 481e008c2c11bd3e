"""The editor's page, and the files that belong to it."""

import asyncio
from pathlib import Path

from aiohttp import web

from server.editor.no_editor import PAGE, PAGE_POLICY
from server.editor.packages import EditorFiles
from server.editor.static import found, send

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
"""Scripts come from here only; the editor compiles some, and shows pictures from anywhere."""


class Pages:
    """Serves them.

    Args:
        files: where they lie.
    """

    def __init__(self, files: EditorFiles) -> None:
        self._files = files

    def add(self, app: web.Application) -> None:
        """Add their routes: one for each file and folder that the editor consists of."""
        router = app.router
        router.add_get("/", self._index if self._files.static else _explain)
        router.add_get("/templates/{name:.+}", self._template)
        router.add_get("/docs/{name:.+}", self._doc)
        for path in sorted(self._files.static.iterdir()) if self._files.static else ():
            rest = f"{path.name}/{{rest:.+}}" if path.is_dir() else path.name
            router.add_get(f"/{rest}", self._static)

    def scripts(self) -> list[str]:
        """The extensions that the editor brings along, as `/extensions` lists them."""
        static = self._files.static
        paths = (static / "extensions").rglob("*.js") if static else ()
        return sorted(f"/{path.relative_to(static).as_posix()}" for path in paths if static)

    async def _index(self, _request: web.Request) -> web.StreamResponse:
        page = found([self._files.static], "index.html")
        return send(page, Cache_Control="no-cache", Content_Security_Policy=_POLICY)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        return await _sent((self._files.static,), request.path.lstrip("/"))

    async def _template(self, request: web.Request) -> web.StreamResponse:
        return await _sent(self._files.templates, request.match_info["name"])

    async def _doc(self, request: web.Request) -> web.StreamResponse:
        return await _sent((self._files.docs,), request.match_info["name"])


async def _sent(folders: tuple[Path | None, ...], name: str) -> web.StreamResponse:
    return send(await asyncio.to_thread(found, folders, name), Cache_Control="no-cache")


async def _explain(_request: web.Request) -> web.Response:
    headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
    return web.Response(text=PAGE, content_type="text/html", headers=headers)
