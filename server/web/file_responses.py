"""Files as replies: browsers may display images, video and sound; all else is downloaded."""

import mimetypes
import os
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
DISPLAYABLE = (
    *PICTURES,
    *("video/mp4", "video/webm", "audio/mpeg", "audio/flac", "audio/ogg", "audio/x-wav"),
)
"""Media types that a browser may display; everything else is downloaded."""
UNKNOWN = "application/octet-stream"


def media_type(path: Path) -> str:
    """Return the media type of a file, by its name."""
    return mimetypes.guess_type(path.name)[0] or UNKNOWN


def safe_headers(mime: str, name: str) -> dict[str, str]:
    """Return headers that let a browser display or download a file, but not run it."""
    displayable = mime in DISPLAYABLE
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in name)
    disposition = f'{"inline" if displayable else "attachment"}; filename="{plain}"'
    if plain != name:
        disposition += f"; filename*=UTF-8''{quote(name, safe='')}"
    return {
        "Content-Type": mime if displayable else UNKNOWN,
        "Content-Disposition": disposition,
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }


def file_response(path: Path) -> web.FileResponse:
    """Return a file of users or their workflows, unchanged; also in ranges."""
    return _Plain(path, headers=safe_headers(media_type(path), path.name))


class _Plain(web.FileResponse):
    """Sends the file itself, never `x.png.gz`, which somebody may have put beside `x.png`."""

    def _get_file_path_stat_encoding(
        self,
        accept_encoding: str,  # noqa: ARG002 - no encoding is offered
    ) -> tuple[Path | None, os.stat_result, str | None]:
        return super()._get_file_path_stat_encoding("")
