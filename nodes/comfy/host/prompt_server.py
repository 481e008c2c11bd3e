"""`server`: packs' routes and messages; a worker passes both to the real server."""

import asyncio
import threading
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from nodegraph.errors import UnsafePathError
from nodegraph.files.files import Files
from nodegraph.files.folders import inside
from nodegraph.packs.routes import PackRoute
from nodes.comfy.host.previews import preview_in
from nodes.comfy.values import runtime

Handler = Callable[..., Any]


class BinaryEventTypes(IntEnum):
    """The kinds of binary messages."""

    PREVIEW_IMAGE = 1
    UNENCODED_PREVIEW_IMAGE = 2
    TEXT = 3
    PREVIEW_IMAGE_WITH_METADATA = 4


class Routes:
    """A table of routes like aiohttp's, and the router of its application."""

    frozen = False

    def routes(self) -> list[PackRoute]:
        """Return the routes that packs have added."""
        return list(runtime.current().server.routes)

    def add_route(self, method: str, path: str, handler: Handler, **_more: object) -> None:
        """Add a route of any method."""
        self.route(method, path)(handler)

    def add_get(self, path: str, handler: Handler, **_more: object) -> None:
        """Add a GET route."""
        self.add_route("GET", path, handler)

    def add_post(self, path: str, handler: Handler, **_more: object) -> None:
        """Add a POST route."""
        self.add_route("POST", path, handler)

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

    def static(self, prefix: str, path: Any, **_more: object) -> None:
        """Serve the files of a folder."""
        runtime.current().server.folders[f"/{prefix.strip('/')}"] = Path(path).absolute()

    add_static = static


class Application:
    """The object under `PromptServer.instance.app`."""

    def __init__(self, routes: Routes) -> None:
        self.router = routes
        self.frozen = False
        self.middlewares: list[Handler] = []
        self.on_startup: list[Handler] = []
        self.on_shutdown: list[Handler] = []

    def add_routes(self, routes: Any) -> None:
        """Add the routes of an aiohttp table."""
        for item in routes:
            if hasattr(item, "handler"):
                self.router.route(item.method, item.path)(item.handler)
            else:
                self.router.static(item.prefix, item.path)


class PromptQueue:
    """The queue, which is always empty in a worker."""

    def __init__(self) -> None:
        self.currently_running: dict[int, object] = {}
        self.queue: list[object] = []
        self.history: dict[str, object] = {}

    def set_flag(self, name: str, data: object) -> None:
        """Do nothing: the engine frees memory itself."""

    def get_flags(self, reset: bool = True) -> dict[str, object]:
        """Return no flags."""
        del reset
        return {}

    def get_history(self, *_which: object, **_more: object) -> dict[str, object]:
        """Return no runs: the server keeps them."""
        return {}

    def get_tasks_remaining(self) -> int:
        """Return the number of waiting runs."""
        return 0

    def get_current_queue(self) -> tuple[list[object], list[object]]:
        """Return the running and the waiting runs."""
        return [], []


class UserSettings:
    """The settings of the editor, which the server keeps: packs see none."""

    def get_settings(self, request: object) -> dict[str, object]:
        """Return no settings."""
        del request
        return {}


class UserManager:
    """The users of the server: packs see one, `default`."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {"default": "default"}
        self.settings = UserSettings()

    def get_request_user_id(self, request: object) -> str:
        """Return the one user."""
        del request
        return "default"

    def get_request_user_filepath(
        self, request: object, file: str | None, type: str = "userdata", create_dir: bool = True
    ) -> str | None:
        """Return the path of a file among packs' own data; None if it leads out of them."""
        del request, type
        root = runtime.current().scratch / "user" / "default"
        try:
            path = inside(root, file) if file else root
        except UnsafePathError:
            return None
        if create_dir:
            (path.parent if file else path).mkdir(parents=True, exist_ok=True)
        return str(path)


class PromptServer:
    """The server object of packs."""

    instance: ClassVar["PromptServer"]

    def __init__(self) -> None:
        self.routes = Routes()
        self.app = Application(self.routes)
        self.supports = ["custom_nodes_from_web"]
        self.prompt_queue = PromptQueue()
        self.user_manager = UserManager()
        self.number = 0
        self.sockets: dict[str, object] = {}
        self.sockets_metadata: dict[str, dict[str, object]] = {}
        self.web_root = ""

    @property
    def client_id(self) -> str | None:
        """Return the id of the client that sent the run that this thread computes."""
        running = runtime.context()
        return runtime.current().server.clients.get(running.run_id) if running else None

    @property
    def last_node_id(self) -> str | None:
        """Return the node that this thread computes, as the editor shows it."""
        running = runtime.context()
        return running.shown_as(running.node_id) if running else None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the event loop of packs, which runs in a thread of its own."""
        return _start_loop()

    def get_queue_info(self) -> dict[str, object]:
        """Return the number of waiting runs in ComfyUI's form."""
        return {"exec_info": {"queue_remaining": self.prompt_queue.get_tasks_remaining()}}

    def trigger_on_prompt(self, json_data: Any) -> Any:
        """Return a request to run a prompt as the handlers that packs added change it."""
        for change in list(runtime.current().server.prompt_changes.values()):
            json_data = change(json_data, runtime.files())
        return json_data

    def send_sync(self, event: Any, data: object, sid: str | None = None) -> None:
        """Send a message to the client of the run that this thread computes.

        Binary ones show an image at the node that runs.
        """
        del sid
        running = runtime.context()
        if isinstance(event, int):
            shown = preview_in(event, data) if running else None
            if running and shown:
                running.preview(*shown)
            return
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
            running.progress_text(text)

    def add_on_prompt_handler(self, handler: Handler) -> None:
        """Have a function change every prompt before it is checked and queued."""

        def change(request: dict[str, Any], files: Files) -> object:
            with runtime.with_files(files):
                return handler(request)

        name = f"{handler.__module__}.{getattr(handler, '__qualname__', type(handler).__name__)}"
        runtime.current().server.prompt_changes[name] = change

    @property
    def on_prompt_handlers(self) -> list[Handler]:
        """Return the functions that change prompts, as they are called here."""
        return list(runtime.current().server.prompt_changes.values())


@cache
def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="pack-loop", daemon=True).start()
    return loop


PromptServer.instance = PromptServer()
