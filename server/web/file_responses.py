"""Files as replies: browsers may display images, video and sound; all else is downloaded."""

import mimetypes
import os
from pathlib import Path
from urllib.parse import quote

from aiohttp import web

from nodegraph.files.users.folder import StoredFile
from nodegraph.files.users.local import LocalFile
from nodegraph.graph.results import Artifact
from server.web.services import Services, services

PICTURES = ("image/png", "image/jpeg", "image/webp", "image/gif", "image/avif")
DISPLAYABLE = (
    *PICTURES,
    *("video/mp4", "video/webm", "audio/mpeg", "audio/flac", "audio/ogg", "audio/x-wav"),
)
"""Media types that a browser may display; everything else is downloaded."""
UNKNOWN = "application/octet-stream"


def media_type(name: str) -> str:
    """Return the media type of a file, by its name."""
    return mimetypes.guess_type(name)[0] or UNKNOWN


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


async def find_stored(parts: Services, named: Artifact) -> StoredFile | None:
    """Return the file of an artifact, wherever its folder lies; None if it is gone.

    Raises:
        UnsafePathError: it lies outside its folder.
        ObjectStoreError: nobody can say.
    """
    users = parts.files.users
    if named.type not in users.elsewhere:
        return users.find_artifact(named)
    return await parts.ask_folder(users.find_artifact, named)


async def file_response(request: web.Request, found: StoredFile) -> web.StreamResponse:
    """Return a file of users or their workflows, unchanged; also in ranges.

    Of a file in an object store, it is a redirect to a signed address if the settings say so.

    Raises:
        ObjectStoreError: no address can be signed.
    """
    headers = safe_headers(media_type(found.name), found.name)
    if isinstance(found, LocalFile):
        return _Plain(found.path, headers=headers)
    from nodegraph.files.objects.folder import StoredObject
    from server.web.stored_files import ObjectResponse, signed_redirect

    assert isinstance(found, StoredObject)
    parts = services(request)
    seconds = parts.settings.server.signed_urls
    if seconds and (redirect := await parts.ask_folder(signed_redirect, found, seconds)):
        return redirect
    return ObjectResponse(found, headers)


class _Plain(web.FileResponse):
    """Sends the file itself, never `x.png.gz`, which somebody may have put beside `x.png`."""

    def _get_file_path_stat_encoding(
        self,
        accept_encoding: str,  # noqa: ARG002 - no encoding is offered
    ) -> tuple[Path | None, os.stat_result, str | None]:
        return super()._get_file_path_stat_encoding("")
