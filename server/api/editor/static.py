"""Sends files to the editor, with the right type and only from inside their folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from aiohttp import web

from nodegraph.errors import UnsafePathError
from nodegraph.files.folders import inside

TYPES: Mapping[str, str] = {
    ".avif": "image/avif",
    ".css": "text/css",
    ".gif": "image/gif",
    ".glb": "model/gltf-binary",
    ".gltf": "model/gltf+json",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}
"""Media types by suffix; not the system's, which differ: scripts of a wrong type do not run."""
UNKNOWN = "application/octet-stream"


def send(path: Path, **headers: str) -> web.FileResponse:
    """Return a reply with a file; `_` in the name of a header becomes `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kind = TYPES.get(path.suffix.lower(), UNKNOWN)
    text = kind.startswith("text/")
    named.setdefault("Content-Type", f"{kind}; charset=utf-8" if text else kind)
    return web.FileResponse(path, headers=named)


def find_file(folders: Iterable[Path | None], name: str) -> Path:
    """Return the path of a file in the first folder that has it.

    Raises:
        HTTPNotFound: no folder has it.
    """
    for folder in folders:
        path = _file(folder, name) if folder else None
        if path:
            return path
    raise web.HTTPNotFound(text="404: there is no such file.\n")


def _file(folder: Path, name: str) -> Path | None:
    try:
        path = inside(folder, name)
    except UnsafePathError:
        return None
    return path if path.is_file() else None
