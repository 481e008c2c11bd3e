"""Files as replies: pictures may be shown, all else is for downloading, and nothing in it runs."""

import mimetypes
from pathlib import Path

from aiohttp import web

SHOWN = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
"""What a browser may show."""
UNKNOWN = "application/octet-stream"


def media_type(path: Path) -> str:
    """What it is sent as."""
    mime = mimetypes.guess_type(path.name)[0]
    return mime if mime in SHOWN else UNKNOWN


def sent(path: Path, status: int = 200) -> web.FileResponse:
    """A file that users or their workflows made."""
    kind = media_type(path)
    headers = {
        "Content-Type": kind,
        "Content-Disposition": "attachment" if kind == UNKNOWN else "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    return web.FileResponse(path, status=status, headers=headers)
