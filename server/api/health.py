"""Routes for operators: health, readiness and metrics."""

from aiohttp import web

from server.errors import StorageError
from server.observability.metrics import CONTENT_TYPE
from server.web.services import parts_of
from server.workers.worker import WarmsUp


def add_health(app: web.Application) -> None:
    """Add `/healthz`, `/readyz` and `/metrics`."""
    app.router.add_get("/healthz", _health)
    app.router.add_get("/readyz", _ready)
    app.router.add_get("/metrics", _metrics)


async def _health(_request: web.Request) -> web.Response:
    """Reply that the server is alive."""
    return web.json_response({"status": "ok"})


async def _metrics(request: web.Request) -> web.Response:
    """Reply with counts and times, for Prometheus."""
    page = parts_of(request).dispatcher.metrics.page()
    return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})


async def _ready(request: web.Request) -> web.Response:
    """Reply 200 if runs would be accepted and computed now, else 503 and the reasons."""
    parts = parts_of(request)
    reasons: list[str] = []
    if parts.dispatcher.draining:
        reasons.append("the server is shutting down")
    if not parts.dispatcher.alive:
        reasons.append("the dispatcher has failed; the server's log says why")
    reasons += [
        f"worker {worker.name} reads the models of --warm"
        for worker in parts.dispatcher.workers
        if isinstance(worker, WarmsUp) and worker.warming
    ]
    if not any(worker.ready for worker in parts.dispatcher.workers if not worker.server):
        reasons.append("no worker is ready")
    try:
        await parts.store.writable()
    except StorageError as error:
        reasons.append(error.message)
    body = {"status": "not ready" if reasons else "ok", "reasons": reasons}
    return web.json_response(body, status=503 if reasons else 200)
