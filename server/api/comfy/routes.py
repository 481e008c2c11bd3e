"""Every route of ComfyUI's API, each at `/x` and at `/api/x`, except `/internal/…` and `/ws`."""

from aiohttp import web

from nodegraph.errors import ObjectStoreError
from server.api.comfy import (
    history,
    jobs,
    model_files,
    object_info,
    prompt,
    queue_routes,
    system,
    upload,
    view,
    websocket,
)
from server.api.comfy.validation_errors import refusal
from server.errors import ServerError
from server.web.security import Handler

_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/prompt", prompt.get_prompt),
    ("POST", "/prompt", prompt.post_prompt),
    ("GET", "/queue", queue_routes.get_queue),
    ("POST", "/queue", queue_routes.post_queue),
    ("POST", "/interrupt", queue_routes.interrupt),
    ("POST", "/free", queue_routes.free),
    ("GET", "/history", history.get_history),
    ("POST", "/history", history.post_history),
    ("GET", "/history/{run}", history.get_one),
    ("GET", "/jobs", jobs.get_jobs),
    ("POST", "/jobs/cancel", jobs.cancel_jobs),
    ("GET", "/jobs/{run}", jobs.get_job),
    ("POST", "/jobs/{run}/cancel", jobs.cancel_job),
    ("GET", "/object_info", object_info.get_object_info),
    ("GET", "/object_info/{name}", object_info.get_one),
    ("GET", "/node_replacements", system.get_replacements),
    ("GET", "/embeddings", model_files.get_embeddings),
    ("GET", "/models", model_files.get_folders),
    ("GET", "/models/{folder}", model_files.get_names),
    ("GET", "/experiment/models", model_files.get_places),
    ("GET", "/experiment/models/{folder}", model_files.get_listing),
    ("GET", "/experiment/models/preview/{folder}/{index}/{file:.+}", model_files.get_preview),
    ("GET", "/view_metadata/{folder}", model_files.get_metadata),
    ("GET", "/view", view.get_view),
    ("POST", "/upload/image", upload.post_image),
    ("POST", "/upload/mask", upload.post_mask),
    ("GET", "/system_stats", system.get_system_stats),
    ("GET", "/features", websocket.get_features),
)
_INTERNAL: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/ws", websocket.websocket),
    ("GET", "/internal/folder_paths", model_files.get_folder_paths),
    ("GET", "/internal/files/{kind}", system.get_files),
)


def add_comfy(app: web.Application) -> None:
    """Add the routes to an application; those for GET answer HEAD, too."""
    twice = [(method, f"/api{path}", handler) for method, path, handler in _ROUTES]
    for method, path, bare in (*_ROUTES, *twice, *_INTERNAL):
        handler = _with_refusals(bare)
        app.router.add_route(method, path, handler)
        if method == "GET" and path != "/ws":
            app.router.add_route("HEAD", path, handler)


def _with_refusals(handler: Handler) -> Handler:
    """Return the handler with server errors as replies in ComfyUI's form."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ServerError as error:
            return web.json_response(refusal([error]), status=error.status)
        except ObjectStoreError as error:
            return web.json_response(refusal([error]), status=503)

    return handle
