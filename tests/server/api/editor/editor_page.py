"""ComfyUI's web editor in a headless Chromium, driven as a user would."""

import base64
import json
import os
import re
import shutil
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    sync_playwright,
)

from tests.server.serving import PATIENCE, Server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = os.environ.get("TEST_SCREENSHOTS", "")
"""A folder that gets a picture of each thing looked at, if set."""
_EXPECTED = re.compile(
    r"404 GET /api/(userdata\?dir=|userdata/(comfy\.templates|workflows%2F\.index)\.json"
    r"|view_metadata/|experiment/models/preview/)"
)
"""The editor asks whether there is something, and goes on if not."""
_EVENTS = (
    *("status", "execution_start", "progress", "b_preview_with_metadata"),
    *("execution_success", "execution_error", "execution_interrupted"),
)


class EditorPage:
    """An open editor.

    Args:
        page: the browser's.
        server: what it comes from.
    """

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.surprises: list[str] = []
        """Requests that failed, and errors in the console, but for those that belong to it."""
        page.set_default_timeout(PATIENCE * 1000)
        page.on("response", self._judge)
        page.on("pageerror", lambda error: self.surprises.append(f"error: {error}"))
        page.on("console", self._hear)

    def open(self) -> None:
        """Load the page, for the first time or again."""
        self.page.goto(self.server.url)
        self.page.wait_for_function("window.app?.isGraphReady && window.app.extensionManager")
        self.page.get_by_test_id("queue-button").wait_for()
        self.page.evaluate(
            """names => {
                window.seen = {};
                for (const name of names)
                    comfyAPI.api.api.addEventListener(name, ({detail}) => {
                        (seen[name] ??= []).push(detail);
                    });
            }""",
            [*_EVENTS],
        )

    def forget(self) -> None:
        """Let the browser know nothing more of what was done, as another one would."""
        self.page.goto("about:blank")
        self.page.context.clear_cookies()
        self.page.goto(f"{self.server.url}/healthz")
        self.page.evaluate("(localStorage.clear(), sessionStorage.clear())")

    def load(self, prompt: Mapping[str, Any], name: str = "test") -> None:
        """Open a workflow as a file that was dropped on the page."""
        self.page.evaluate(
            """([name, text]) =>
                app.handleFile(new File([text], `${name}.json`, {type: "application/json"}))""",
            [name, json.dumps(prompt)],
        )
        self.page.wait_for_function("count => app.graph.nodes.length === count", arg=len(prompt))

    def prompt_of(self, data: bytes, name: str, kind: str) -> dict[str, Any]:
        """Drop a file on an empty page; the prompt that the editor would submit then.

        Args:
            data: the file's content.
            name: the file's name.
            kind: its media type.
        """
        self.page.evaluate(
            """async ([name, data, type]) => {
                app.graph.clear();
                const bytes = Uint8Array.from(atob(data), char => char.charCodeAt(0));
                await app.handleFile(new File([bytes], name, {type}));
            }""",
            [name, base64.b64encode(data).decode(), kind],
        )
        self.page.wait_for_function("app.graph.nodes.length > 0")
        return self.page.evaluate("async () => (await app.graphToPrompt()).output")

    def set(self, node: str, values: Mapping[str, object]) -> None:
        """Turn a node's knobs."""
        self.page.evaluate(
            """([type, values]) => {
                const node = app.graph.nodes.find(node => node.type === type);
                for (const [name, value] of Object.entries(values)) {
                    const widget = node.widgets.find(widget => widget.name === name);
                    widget.setValue(value, {e: new PointerEvent("x"), node, canvas: app.canvas});
                }
            }""",
            [node, dict(values)],
        )

    def run(self) -> None:
        """Press the button."""
        self.page.evaluate("seen = {}")
        self.page.get_by_test_id("queue-button").click()

    def wait(self, event: str, count: int = 1) -> Any:
        """Wait until the editor has heard of something so often; the last that it heard."""
        self.page.wait_for_function(
            "([name, count]) => seen[name]?.length >= count", arg=[event, count]
        )
        return self.page.evaluate("name => seen[name].at(-1)", event)

    def node(self, kind: str, what: str) -> Any:
        """Something of a node, as JavaScript has it: `node.imgs.length`."""
        find = f"const node = app.graph.nodes.find(node => node.type === {kind!r})"
        return self.page.evaluate(f"() => {{ {find}; return {what}; }}")

    def wait_for_node(self, kind: str, what: str) -> None:
        """Wait until something holds of a node."""
        find = f"const node = app.graph.nodes.find(node => node.type === {kind!r})"
        self.page.wait_for_function(f"() => {{ {find}; return {what}; }}")

    def colours(self, kind: str) -> list[int]:
        """How far red, green and blue reach in the image that a node shows, 0 to 255."""
        return self.page.evaluate(
            """kind => {
                const image = app.graph.nodes.find(node => node.type === kind).imgs[0];
                const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
                const context = canvas.getContext("2d");
                context.drawImage(image, 0, 0);
                const {data} = context.getImageData(0, 0, canvas.width, canvas.height);
                const reach = [0, 1, 2].map(channel => {
                    const values = data.filter((_, index) => index % 4 === channel);
                    return Math.max(...values) - Math.min(...values);
                });
                return reach;
            }""",
            kind,
        )

    def show(self, kind: str) -> None:
        """Bring a node to the middle, at its own size."""
        self.node(kind, "(app.canvas.ds.scale = 1, app.canvas.centerOnNode(node))")

    def command(self, name: str) -> None:
        """Do what a menu entry or a key does."""
        self.page.evaluate("name => app.extensionManager.command.execute(name)", name)

    def paint(self, canvas: Locator) -> None:
        """Draw a line through its middle, from 30 to 60 percent of its width."""
        canvas.wait_for()
        self.page.wait_for_timeout(1000)  # it listens to the mouse a moment after it is there
        box = canvas.bounding_box()
        assert box
        left, width, middle = box["x"], box["width"], box["y"] + box["height"] / 2
        mouse = self.page.mouse
        mouse.move(left + width * 0.3, middle)
        mouse.down()
        mouse.move(left + width * 0.6, middle, steps=10)
        mouse.up()

    def uploads(self) -> list[str]:
        """Where files are sent to, from now on."""
        sent: list[str] = []

        def note(request: Request) -> None:
            if "/upload/" in request.url:
                sent.append(request.url)

        self.page.on("request", note)
        return sent

    def look(self, name: str) -> None:
        """Keep a picture, if anybody wants it."""
        if SCREENSHOTS:
            self.page.wait_for_timeout(500)
            self.page.screenshot(path=Path(SCREENSHOTS, f"{name}.png"))

    def _judge(self, response: Response) -> None:
        path = response.url.removeprefix(self.server.url)
        told = f"{response.status} {response.request.method} {path}"
        if response.status >= 400 and not _EXPECTED.match(told):
            self.surprises.append(told)

    def _hear(self, message: ConsoleMessage) -> None:
        """Note errors but for requests that failed: those are judged by their answers."""
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.surprises.append(f"console: {message.text}")


@contextmanager
def browsing() -> Generator[Browser]:
    """A browser."""
    with sync_playwright() as playwright:
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


def opened(browser: Browser, server: Server, login: str = "") -> EditorPage:
    """An editor of that server, open, by somebody new; it reaches nothing else.

    Args:
        browser: gets a page.
        server: where it comes from.
        login: what to visit first.
    """
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.route(lambda url: not url.startswith(server.url), lambda route: route.abort())
    if login:
        page.goto(server.url + login)
    editor = EditorPage(page, server)
    editor.open()
    return editor
