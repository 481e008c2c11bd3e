"""Every route of the dialect, each at `/x` and at `/api/x`."""

from aiohttp import web

from server.comfy import history, node_types, prompt, queueing, uploading, view, websocket
from server.security import Handler


def add_comfy(app: web.Application) -> None:
    """Add them."""
    app.router.add_get("/ws", websocket.websocket)
    routes: list[tuple[str, str, Handler]] = [
        ("GET", "/prompt", prompt.get_prompt),
        ("POST", "/prompt", prompt.post_prompt),
        ("GET", "/queue", queueing.get_queue),
        ("POST", "/queue", queueing.post_queue),
        ("POST", "/interrupt", queueing.interrupt),
        ("POST", "/free", queueing.free),
        ("GET", "/history", history.get_history),
        ("POST", "/history", history.post_history),
        ("GET", "/history/{run}", history.get_one),
        ("GET", "/object_info", node_types.get_object_info),
        ("GET", "/object_info/{name}", node_types.get_one),
        ("GET", "/view", view.get_view),
        ("POST", "/upload/image", uploading.post_image),
        ("POST", "/upload/mask", uploading.post_mask),
        ("GET", "/features", _features),
    ]
    for method, path, handler in routes:
        app.router.add_route(method, path, handler)
        app.router.add_route(method, f"/api{path}", handler)


async def _features(_request: web.Request) -> web.Response:
    return web.json_response(websocket.features())
