"""Files as replies: pictures, films and sound may be shown, all else is for downloading."""

import mimetypes
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
SHOWN = (
    *PICTURES,
    *("video/mp4", "video/webm", "audio/mpeg", "audio/flac", "audio/ogg", "audio/x-wav"),
)
"""What a browser may show; everything else is for downloading."""
UNKNOWN = "application/octet-stream"


def media_type(path: Path) -> str:
    """What a file is, by its name."""
    return mimetypes.guess_type(path.name)[0] or UNKNOWN


def safe_headers(mime: str, name: str) -> dict[str, str]:
    """Those that keep a file from doing anything in a browser but being shown."""
    shown = mime in SHOWN
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    disposition = f'{"inline" if shown else "attachment"}; filename="{plain}"'
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Type": mime if shown else UNKNOWN,
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def sent(path: Path) -> web.FileResponse:
    """A file that users or their workflows made, as it is; also in ranges."""
    return web.FileResponse(path, headers=safe_headers(media_type(path), path.name))
