"""Puts the parts together."""

from collections.abc import AsyncIterator

from aiohttp import web

from nodegraph.server_settings import ServerSettings
from server import security
from server.comfy.routes import add_comfy
from server.editor.routes import add_editor
from server.operations import add_operations
from server.pack_routes import add_packs
from server.reloading import reloading
from server.retention import retention
from server.services import PARTS, Parts
from server.tokens import Tokens
from server.v1.border import problems
from server.v1.routes import add_v1


def create_app(parts: Parts, settings: ServerSettings, tokens: Tokens) -> web.Application:
    """The application: every route, behind the guard.

    Args:
        parts: what there is to work with.
        settings: where it listens, and what it takes.
        tokens: whom it lets in.
    """
    guard = security.guard(settings.host, settings.allow_hosts, tokens)
    app = web.Application(middlewares=[problems, guard], client_max_size=settings.max_request)
    app[PARTS] = parts
    app.on_response_prepare.append(security.add_headers)
    app.router.add_get(security.LOGIN, security.login(tokens))
    add_operations(app)
    add_comfy(app)
    add_v1(app)
    add_editor(app)
    add_packs(app)
    app.on_shutdown.append(_end_listening)
    app.cleanup_ctx.append(_working)
    app.cleanup_ctx.append(retention(parts.store, settings))
    if settings.reload_packs:
        app.cleanup_ctx.append(reloading(parts))
    return app


async def _end_listening(app: web.Application) -> None:
    """Whoever listens is told that there is no more, or stopping would wait for them."""
    app[PARTS].bus.close()


async def _working(app: web.Application) -> AsyncIterator[None]:
    """The dispatcher works while the server is up."""
    parts = app[PARTS]
    await parts.dispatcher.start()
    await parts.webhooks.start()
    yield
    await parts.dispatcher.stop()
    await parts.webhooks.stop()
    await parts.pictures.close()
    parts.store.close()
