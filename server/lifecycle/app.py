"""Builds the web application from the server's parts."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.typedefs import Middleware

from nodegraph.settings.server import ServerSettings
from server.api.comfy.routes import add_comfy
from server.api.editor.routes import add_editor
from server.api.editor.server_scripts import ServerRoutes
from server.api.health import add_health
from server.api.pack_routes import PackRoutes
from server.api.v1.error_middleware import problems
from server.api.v1.routes import add_v1
from server.lifecycle.read_packs import read_packs
from server.scheduling.retention import retention
from server.web import security
from server.web.services import PARTS, Parts
from server.web.tokens import Tokens

if TYPE_CHECKING:
    from server.observability.tracing import Tracing


def create_app(
    parts: Parts, settings: ServerSettings, tokens: Tokens, tracing: "Tracing | None" = None
) -> web.Application:
    """Return the application: every route, behind the guard.

    Args:
        parts: the store, the dispatcher and the other parts of the server.
        settings: the address to listen on, and the limits.
        tokens: the tokens that let clients in.
        tracing: takes the spans of requests; None if there are no traces.
    """
    guard = security.guard(
        settings.host, settings.allow_hosts, tokens, score_open=settings.score_open
    )
    packs = PackRoutes(parts.registry).middleware
    servers = ServerRoutes(parts.comfyui, settings.comfyui_routes).middleware
    app = web.Application(
        middlewares=[*_outermost(tracing), problems, guard, packs, servers],
        client_max_size=settings.max_request,
    )
    app[PARTS] = parts
    app.on_response_prepare.append(security.add_headers)
    app.router.add_get(security.LOGIN, security.login(tokens))
    add_health(app)
    add_comfy(app)
    add_v1(app)
    add_editor(app)
    app.on_shutdown.append(_close_bus)
    app.cleanup_ctx.append(_run_services)
    app.cleanup_ctx.append(retention(parts.store, settings))
    app.cleanup_ctx.append(read_packs(parts, watch=settings.reload_packs))
    return app


def _outermost(tracing: "Tracing | None") -> Sequence[Middleware]:
    """Return the middleware that sees requests first, and replies as they are sent."""
    if tracing is None:
        return []
    from server.web.request_spans import trace_requests  # others need no such package

    return [trace_requests(tracing.tracer)]


async def _close_bus(app: web.Application) -> None:
    """End all subscriptions; otherwise stopping would wait for the clients that listen."""
    app[PARTS].bus.close()


async def _run_services(app: web.Application) -> AsyncIterator[None]:
    """Run the dispatcher and the webhooks while the server is up."""
    parts = app[PARTS]
    await parts.dispatcher.start()
    await parts.webhooks.start()
    yield
    await parts.dispatcher.stop()
    await parts.webhooks.stop()
    await parts.pictures.close()
    parts.store.close()
