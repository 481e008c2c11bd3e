"""What those who run the server ask it: is it alive, is it ready, how does it do."""

from aiohttp import web

from server.errors import StorageError
from server.metrics import CONTENT_TYPE
from server.services import parts_of


def add_operations(app: web.Application) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`."""
    app.router.add_get("/healthz", _health)
    app.router.add_get("/readyz", _ready)
    app.router.add_get("/metrics", _metrics)


async def _health(_request: web.Request) -> web.Response:
    """It answers, so it is alive."""
    return web.json_response({"status": "ok"})


async def _metrics(request: web.Request) -> web.Response:
    """Counts and times, for Prometheus."""
    page = parts_of(request).dispatcher.metrics.page()
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


async def _ready(request: web.Request) -> web.Response:
    """Whether runs would be accepted and computed now; 503 and why not otherwise."""
    parts = parts_of(request)
    reasons: list[str] = []
    if parts.dispatcher.draining:
        reasons.append("it is shutting down")
    if not parts.dispatcher.alive:
        reasons.append("nothing brings runs to workers any more; its log says why")
    if not any(worker.ready for worker in parts.dispatcher.workers):
        reasons.append("no worker is ready")
    try:
        await parts.store.writable()
    except StorageError as error:
        reasons.append(error.message)
    body = {"status": "not ready" if reasons else "ok", "reasons": reasons}
    return web.json_response(body, status=503 if reasons else 200)
