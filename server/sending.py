"""Files as replies: pictures, films and sound may be shown, all else is for downloading."""

import mimetypes
import os
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
    return _Plain(path, headers=safe_headers(media_type(path), path.name))


class _Plain(web.FileResponse):
    """The file itself: never `x.png.gz`, which anybody may have put beside `x.png`."""

    def _get_file_path_stat_encoding(
        self,
        accept_encoding: str,  # noqa: ARG002 - what is there to accept is not asked
    ) -> tuple[Path | None, os.stat_result, str | None]:
        return super()._get_file_path_stat_encoding("")
