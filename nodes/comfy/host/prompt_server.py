"""`server`: what packs offer to clients and tell them; a worker hands both to the real server."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from nodegraph.pack_server import OFFERED, PackRoute
from nodes.comfy import here

Handler = Callable[..., Any]


class Routes:
    """Takes routes as aiohttp's table of routes does."""

    def route(self, method: str, path: str, **_more: object) -> Callable[[Handler], Handler]:
        """A route of any method."""

        def add(handler: Handler) -> Handler:
            OFFERED.routes.append(PackRoute(method.upper(), path, handler))
            return handler

        return add

    def get(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """For GET."""
        return self.route("GET", path, **more)

    def post(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """For POST."""
        return self.route("POST", path, **more)

    def put(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """For PUT."""
        return self.route("PUT", path, **more)

    def patch(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """For PATCH."""
        return self.route("PATCH", path, **more)

    def delete(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """For DELETE."""
        return self.route("DELETE", path, **more)

    def static(self, *_where: object, **_more: object) -> None:
        """Folders of files are served by WEB_DIRECTORY alone."""


class Application:
    """What packs find under `PromptServer.instance.app`."""

    def __init__(self, routes: Routes) -> None:
        self.router = routes

    def add_routes(self, routes: Any) -> None:
        """Take over a table of aiohttp's own making."""
        for item in routes:
            if hasattr(item, "handler"):
                self.router.route(item.method, item.path)(item.handler)


class PromptQueue:
    """The queue, of which a worker sees nothing."""

    def get_tasks_remaining(self) -> int:
        """How many runs wait."""
        return 0

    def get_current_queue(self) -> tuple[list[object], list[object]]:
        """What runs, and what waits."""
        return [], []


class PromptServer:
    """The server, as packs address it."""

    instance: ClassVar["PromptServer"]

    def __init__(self) -> None:
        self.routes = Routes()
        self.app = Application(self.routes)
        self.supports = ["custom_nodes_from_web"]
        self.prompt_queue = PromptQueue()
        self.client_id: str | None = None
        self.last_node_id: str | None = None
        self.number = 0
        self.on_prompt_handlers: list[Handler] = []

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs in this thread."""
        return asyncio.get_event_loop()

    def send_sync(self, event: str, data: object, sid: str | None = None) -> None:
        """Tell the client of the run something; everybody, if no node runs."""
        del sid
        running = here.context()
        OFFERED.tell(event, data, running.run_id if running else "")

    async def send(self, event: str, data: object, sid: str | None = None) -> None:
        """Tell a client something, or everybody."""
        self.send_sync(event, data, sid)

    async def send_json(self, event: str, data: object, sid: str | None = None) -> None:
        """Tell a client something, or everybody."""
        self.send_sync(event, data, sid)

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        """Show a text at a node."""
        del node_id, sid
        running = here.context()
        if running:
            running.notice(text)

    def add_on_prompt_handler(self, handler: Handler) -> None:
        """Prompts are not shown to packs before they run; the handler is never called."""
        self.on_prompt_handlers.append(handler)


PromptServer.instance = PromptServer()
__file__ = str(here.current().scratch / "server.py")
"""Packs write beside this what they mean to put beside ComfyUI."""
