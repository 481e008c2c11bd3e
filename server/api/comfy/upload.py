"""`POST /upload/image` and `/upload/mask`: files for the input folder."""

import io
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from aiohttp import web

from nodegraph.errors import (
    DiskFullError,
    InvalidWorkflowError,
    ObjectStoreError,
    OutputFolderError,
    UnsafePathError,
)
from nodegraph.files.users.user_files import artifact_of
from nodegraph.graph.json_values import is_object, parse_json
from nodegraph.graph.results import Artifact
from server.api.comfy.user_paths import find_file, folder_type, local_copy
from server.errors import UnreadablePictureError
from server.web.services import services
from server.web.uploads import Upload, receive_upload

_YES = ("true", "1")


async def post_image(request: web.Request) -> web.Response:
    """Save the file in the form's field `image`; also read `type`, `subfolder` and `overwrite`.

    Reply with the name it got: the same for the same bytes, another one for other bytes.
    """
    with _http_errors():
        async with receive_upload(request, "image", _temp_folder(request)) as upload:
            return await _keep(request, upload, upload.path)


async def post_mask(request: web.Request) -> web.Response:
    """Save the image `original_ref` with the alpha of the form's `image`; else as `post_image`."""
    parts = services(request)
    with _http_errors():
        async with receive_upload(request, "image", _temp_folder(request)) as upload:
            original = await local_copy(parts, await find_file(parts, _original(upload)))
            data = await parts.pictures.apply_mask(original, upload.path)
            return await _keep(request, upload, data)


async def _keep(request: web.Request, upload: Upload, data: Path | bytes) -> web.Response:
    fields = upload.fields
    kind = folder_type(fields.get("type") or "input")
    parts = services(request)
    folder = parts.files.users.folder(kind)
    name = "/".join(part for part in (fields.get("subfolder"), upload.name) if part)
    overwrite = fields.get("overwrite", "").lower() in _YES
    with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
        keep = partial(folder.keep, name, file, overwrite=overwrite)
        kept = artifact_of(await parts.ask_folder(keep), kind)
    return web.json_response({"name": kept.filename, "subfolder": kept.subfolder, "type": kind})


def _temp_folder(request: web.Request) -> Path:
    return services(request).files.folders.temp


@contextmanager
def _http_errors() -> Generator[None]:
    """Turn errors from inside the block into HTTP errors."""
    try:
        yield
    except (UnsafePathError, UnreadablePictureError) as error:
        raise web.HTTPBadRequest(text=f"400: {error.message}\n") from error
    except DiskFullError as error:
        raise web.HTTPInsufficientStorage(text=f"507: {error.message}\n") from error
    except (OutputFolderError, ObjectStoreError) as error:
        raise web.HTTPServiceUnavailable(text=f"503: {error.message}\n") from error


def _original(upload: Upload) -> Artifact:
    """Return the image that a mask is for: `{"filename": …, "subfolder": …, "type": …}`."""
    try:
        value = parse_json(upload.fields.get("original_ref", ""))
    except InvalidWorkflowError:
        value = None
    name = value.get("filename") if is_object(value) else None
    if not is_object(value) or not isinstance(name, str):
        raise web.HTTPBadRequest(text='400: original_ref has to be {"filename": "…"}.\n')
    kind = folder_type(str(value.get("type") or "output"))
    return Artifact(name, str(value.get("subfolder") or ""), kind)
