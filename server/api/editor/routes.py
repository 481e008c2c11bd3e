"""The routes that only the editor uses; the others are those of ComfyUI's API."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from aiohttp import web

from server.api.editor.logs import LogKeeper
from server.api.editor.packages import find_editor
from server.api.editor.pages import Pages
from server.api.editor.preferences import Preferences
from server.api.editor.server_scripts import ServerScripts
from server.api.editor.static import send
from server.api.editor.user_files import UserFiles
from server.api.editor.userdata import UserData
from server.web.security import Handler
from server.web.services import PARTS, services


def add_editor(app: web.Application) -> None:
    """Add the routes to an application."""
    theirs = ServerScripts(app[PARTS].comfyui)
    pages = Pages(find_editor(), lambda: app[PARTS].registry.packs, theirs)
    one_for_each = cache(UserFiles)

    def files(request: web.Request) -> UserFiles:
        return one_for_each(services(request).folder / "files")

    def settings(request: web.Request) -> Path:
        return services(request).folder / "settings.json"

    pages.add(app)
    _add_logs(app)
    routes = [
        *_constant_routes(pages),
        *_settings(Preferences(settings)),
        *(("GET", path, _style(files)) for path in ("/user.css", "/userdata/user.css")),
        *_userdata(UserData(files)),
    ]
    for method, path, handler in routes:
        for verb in ("GET", "HEAD") if method == "GET" else (method,):
            app.router.add_route(verb, path, handler)
            app.router.add_route(verb, f"/api{path}", handler)


Routes = list[tuple[str, str, Handler]]


def _settings(preferences: Preferences) -> Routes:
    return [
        ("GET", "/settings", preferences.get_all),
        ("POST", "/settings", preferences.post_all),
        ("GET", "/settings/{id}", preferences.get_one),
        ("POST", "/settings/{id}", preferences.post_one),
    ]


def _userdata(data: UserData) -> Routes:
    return [
        ("GET", "/userdata", data.listing),
        ("GET", "/v2/userdata", data.entries),
        ("GET", "/userdata/{file}", data.get),
        ("POST", "/userdata/{file}", data.post),
        ("DELETE", "/userdata/{file}", data.delete),
        ("POST", "/userdata/{file}/move/{to}", data.move),
    ]


def _constant_routes(pages: Pages) -> Routes:
    """Return the routes whose reply is the same for all users."""
    return [
        ("GET", "/users", _always({"storage": "server", "migrated": True})),
        ("GET", "/extensions", _scripts(pages)),
        ("GET", "/i18n", _always({})),
        ("GET", "/workflow_templates", _always({})),
        ("GET", "/global_subgraphs", _always({})),
    ]


def _scripts(pages: Pages) -> Handler:
    """Return the handler that lists the scripts, anew each time, because packs are reloaded."""

    async def handler(request: web.Request) -> web.Response:
        await services(request).comfyui.refresh()
        return web.json_response(pages.scripts())

    return handler


def _always(value: object) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        return web.json_response(value)

    return handler


def _style(files: Callable[[web.Request], UserFiles]) -> Handler:
    """Return the handler of the user's own style sheet, their file `user.css`."""

    async def handler(request: web.Request) -> web.StreamResponse:
        path = files(request).find("user.css")
        return send(path) if path else web.Response(content_type="text/css")

    return handler


def _add_logs(app: web.Application) -> None:
    keeper = LogKeeper(app[PARTS].bus)
    app.cleanup_ctx.append(keeper.keep_logs)
    app.router.add_get("/internal/logs", keeper.text)
    app.router.add_get("/internal/logs/raw", keeper.raw)
    app.router.add_patch("/internal/logs/subscribe", keeper.subscribe)
