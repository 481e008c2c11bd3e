"""`/userdata`: routes to list, read and change the files of users."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web

from nodegraph.errors import UnsafePathError
from server.api.editor.static import TYPES, UNKNOWN, send
from server.api.editor.user_files import UserFile, UserFiles

_DISPLAYABLE = (".css", ".json", ".md", ".txt")
"""Suffixes of files that a browser may display; all others are downloaded."""
_SANDBOX = "default-src 'none'; sandbox"
T = TypeVar("T")


class UserData:
    """The routes of users' files.

    Args:
        files: returns the files of a request's owner.
    """

    def __init__(self, files: Callable[[web.Request], UserFiles]) -> None:
        self._files = files

    async def listing(self, request: web.Request) -> web.Response:
        """List a folder: `?dir=&recurse=&split=&full_info=`; 404 if there is no such folder."""
        query = request.query
        if not query.get("dir"):
            raise web.HTTPBadRequest(text="400: dir is missing.\n")
        deep = _is_true(request, "recurse")
        found = await _safely(lambda: self._files(request).files(query["dir"], deep=deep))
        if found is None:
            raise web.HTTPNotFound(text="404: there is no such folder.\n")
        if _is_true(request, "full_info"):
            return web.json_response([file.as_dict() for file in found])
        names = [file.path for file in found]
        split = _is_true(request, "split")
        return web.json_response([[name, *name.split("/")] for name in names] if split else names)

    async def entries(self, request: web.Request) -> web.Response:
        """List the files and folders of a folder: `/v2/userdata?path=`."""
        folder = request.query.get("path", "")
        found = await _safely(lambda: self._files(request).entries(folder))
        if found is None:
            raise web.HTTPNotFound(text="404: there is no such folder.\n")
        prefix = folder.strip("/.")
        return web.json_response([_entry(prefix, file) for file in found])

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Reply with a file."""
        path = await _safely(lambda: self._files(request).find(request.match_info["file"]))
        if path is None:
            raise web.HTTPNotFound(text="404: there is no such file.\n")
        suffix = path.suffix.lower()
        displayable = suffix in _DISPLAYABLE
        return send(
            path,
            Content_Type=TYPES[suffix] if displayable else UNKNOWN,
            Content_Disposition="inline" if displayable else "attachment",
            Content_Security_Policy=_SANDBOX,
            Cache_Control="no-cache",
        )

    async def post(self, request: web.Request) -> web.Response:
        """Save the body as a file: `?overwrite=&full_info=`; 409 if the name is taken."""
        name, data = request.match_info["file"], await request.read()
        overwrite = _may_overwrite(request)
        await _safely(lambda: self._files(request).write(name, data, overwrite=overwrite))
        return await self._reply(request, name)

    async def move(self, request: web.Request) -> web.Response:
        """Rename a file: `?overwrite=&full_info=`; 409 if the name is taken."""
        name, to = request.match_info["file"], request.match_info["to"]
        overwrite = _may_overwrite(request)
        await _safely(lambda: self._files(request).move(name, to, overwrite=overwrite))
        return await self._reply(request, to)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a file."""
        if not await _safely(lambda: self._files(request).delete(request.match_info["file"])):
            raise web.HTTPNotFound(text="404: there is no such file.\n")
        return web.Response(status=204)

    async def _reply(self, request: web.Request, name: str) -> web.Response:
        if not _is_true(request, "full_info"):
            return web.json_response(name)
        file = await asyncio.to_thread(self._files(request).about, name)
        return web.json_response(file.as_dict())


async def _safely(work: Callable[[], T]) -> T:
    """Run `work` on a thread, and turn its errors into HTTP errors.

    Raises:
        HTTPException: `work` has failed.
    """
    try:
        return await asyncio.to_thread(work)
    except UnsafePathError as error:
        raise web.HTTPBadRequest(text=f"400: {error}\n") from error
    except FileExistsError as error:
        raise web.HTTPConflict(text="409: there is a file of that name already.\n") from error
    except FileNotFoundError as error:
        raise web.HTTPNotFound(text="404: there is no such file.\n") from error
    except (IsADirectoryError, NotADirectoryError) as error:
        raise web.HTTPConflict(text="409: a file and a folder can not share a name.\n") from error


def _entry(folder: str, file: UserFile) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": file.path,
        "path": f"{folder}/{file.path}" if folder else file.path,
        "type": "directory" if file.folder else "file",
    }
    return entry if file.folder else {**entry, "size": file.size, "modified": file.modified}


def _may_overwrite(request: web.Request) -> bool:
    return request.query.get("overwrite", "true").lower() != "false"


def _is_true(request: web.Request, name: str) -> bool:
    return request.query.get(name, "").lower() in ("true", "1")
