"""`server`: packs' routes and messages; a worker passes both to the real server."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from nodegraph.packs.routes import PackRoute
from nodes.comfy.values import runtime

Handler = Callable[..., Any]


class Routes:
    """A table of routes like aiohttp's."""

    def route(self, method: str, path: str, **_more: object) -> Callable[[Handler], Handler]:
        """Add a route of any method."""

        def add(handler: Handler) -> Handler:
            route = PackRoute(method.upper(), path, handler)
            runtime.current().server.routes.append(route)
            return handler

        return add

    def get(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """Add a GET route."""
        return self.route("GET", path, **more)

    def post(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """Add a POST route."""
        return self.route("POST", path, **more)

    def put(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """Add a PUT route."""
        return self.route("PUT", path, **more)

    def patch(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """Add a PATCH route."""
        return self.route("PATCH", path, **more)

    def delete(self, path: str, **more: object) -> Callable[[Handler], Handler]:
        """Add a DELETE route."""
        return self.route("DELETE", path, **more)

    def static(self, *_where: object, **_more: object) -> None:
        """Do nothing: only WEB_DIRECTORY serves folders of files."""


class Application:
    """The object under `PromptServer.instance.app`."""

    def __init__(self, routes: Routes) -> None:
        self.router = routes

    def add_routes(self, routes: Any) -> None:
        """Add the routes of an aiohttp table."""
        for item in routes:
            if hasattr(item, "handler"):
                self.router.route(item.method, item.path)(item.handler)


class PromptQueue:
    """The queue, which is always empty in a worker."""

    def get_tasks_remaining(self) -> int:
        """Return the number of waiting runs."""
        return 0

    def get_current_queue(self) -> tuple[list[object], list[object]]:
        """Return the running and the waiting runs."""
        return [], []


class PromptServer:
    """The server object of packs."""

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
        """Return the event loop of this thread."""
        return asyncio.get_event_loop()

    def send_sync(self, event: str, data: object, sid: str | None = None) -> None:
        """Send a message to the run's client, or to all if no node runs."""
        del sid
        running = runtime.context()
        runtime.current().server.tell(event, data, running.run_id if running else "")

    async def send(self, event: str, data: object, sid: str | None = None) -> None:
        """Send a message to a client, or to all."""
        self.send_sync(event, data, sid)

    async def send_json(self, event: str, data: object, sid: str | None = None) -> None:
        """Send a message to a client, or to all."""
        self.send_sync(event, data, sid)

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        """Show a text at a node."""
        del node_id, sid
        running = runtime.context()
        if running:
            running.notice(text)

    def add_on_prompt_handler(self, handler: Handler) -> None:
        """Do nothing: prompts are not passed to packs, and the handler is never called."""
        self.on_prompt_handlers.append(handler)


PromptServer.instance = PromptServer()
__file__ = str(runtime.current().scratch / "server.py")
"""Packs write beside this what they mean to put beside ComfyUI."""
