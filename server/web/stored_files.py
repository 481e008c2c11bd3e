"""Files of an object store as replies: streamed in ranges with an ETag, or as signed addresses."""

import os
import stat
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import IO, Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from nodegraph.files.objects.folder import StoredObject

_NANOSECONDS = 10**9


class ObjectResponse(web.FileResponse):
    """Streams an object as aiohttp does a local file: it decides on ranges and conditions.

    Only where it looks at the file and where it sends it are replaced.
    """

    def __init__(self, found: StoredObject, headers: dict[str, str]) -> None:
        super().__init__(found.name, headers=headers)
        self._found = found

    def _get_file_path_stat_encoding(
        self,
        accept_encoding: str,  # noqa: ARG002 - no encoding is offered
    ) -> tuple[Path | None, os.stat_result, str | None]:
        """Return the facts of the object in the place of a file's.

        aiohttp makes the ETag of the nanoseconds and the size. Stores tell whole seconds; the
        rest is made of the store's own ETag, so that both change together.
        """
        facts = self._found.facts
        seconds = int(facts.modified)
        digest = int.from_bytes(sha256(facts.etag.encode()).digest()[:8], "big")
        times = {
            "st_mtime": float(seconds),
            "st_mtime_ns": seconds * _NANOSECONDS + digest % _NANOSECONDS,
        }
        status = os.stat_result((stat.S_IFREG, 0, 0, 1, 0, 0, facts.size, 0, seconds, 0), times)
        return cast("Path", _Elsewhere()), status, None

    async def _sendfile(
        self,
        request: web.BaseRequest,
        fobj: IO[Any],  # noqa: ARG002 - it is empty
        offset: int,
        count: int,
    ) -> AbstractStreamWriter:
        writer = await web.StreamResponse.prepare(self, request)
        assert writer is not None
        facts = self._found.facts
        async for chunk in self._found.bucket.read_part(facts, offset, offset + count):
            await writer.write(chunk)
        await writer.write_eof()
        return writer


class _Elsewhere:
    """In the place of a path: opens as an empty file, for the content comes from elsewhere."""

    def open(self, _mode: str) -> BytesIO:
        """Return an empty file."""
        return BytesIO()


def signed_redirect(found: StoredObject, seconds: int) -> web.Response | None:
    """Return a redirect to the object store's own address of an object; None if it gives none."""
    address = found.signed_url(seconds)
    headers = {"Location": address, "Cache-Control": "no-store"}
    return web.Response(status=302, headers=headers) if address else None
