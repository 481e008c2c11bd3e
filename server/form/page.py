"""The page: its layout, the actions of its buttons, and the web server for it."""

import logging
import secrets
import socket
from asyncio import CancelledError
from collections.abc import AsyncGenerator, Callable
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from gradio.themes import Default
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.form.fields import RANDOM
from server.form.inputs import Inputs
from server.form.results import Results
from server.form.runs import Form
from server.web.security import is_loopback
from server.web.tokens import Tokens

LARGEST_UPLOAD = "20mb"
MOST_IN_GALLERY = 100
"""The most images in a visitor's gallery."""
_FORGET = 24 * 3600
_FONTS = ("system-ui", "sans-serif")
_MONO = ("ui-monospace", "monospace")
_STYLE = """
.status-alert { color: #b91c1c; } .status-preview { max-width: 100%; min-width: 192px; }
progress { width: 100%; height: 12px; } table.settings th { text-align: left; padding-right: 1em; }
table.settings td { white-space: pre-wrap; overflow-wrap: anywhere; }
"""
_SAFE = {
    b"content-security-policy": b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    b"frame-ancestors 'none'",
    b"referrer-policy": b"no-referrer",
    b"x-content-type-options": b"nosniff",
}


class Safe:
    """Adds headers to every reply: nothing is loaded from other sites, nor framed by them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with the headers added."""

        async def send_safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_SAFE.items()]
            await send(message)

        await self._app(scope, receive, send_safe)


def serve_page(
    form: Form, heading: str, listener: socket.socket, host: str, logins: Tokens
) -> None:
    """Serve a form until a signal comes.

    Args:
        form: the form.
        heading: the heading of the page.
        listener: the listening socket.
        host: the address that is bound.
        logins: names and passwords; without any, everybody is let in.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    names = ["localhost", "127.0.0.1", "[::1]", host] if is_loopback(host) else ["*"]
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=names)
    app.add_middleware(Safe)
    gr.mount_gradio_app(  # pyright: ignore[reportUnknownMemberType]
        app,
        _blocks(form, heading),
        path="/",
        auth=_login_check(logins) if logins else None,
        allowed_paths=[str(form.folder)],
        max_file_size=LARGEST_UPLOAD,
        footer_links=[],
        ssr_mode=False,
        theme=Default(font=_FONTS, font_mono=_MONO),
        css=_STYLE,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


def _is_news(record: logging.LogRecord) -> bool:
    """Return False for log records about pages that were open when the server stopped."""
    cut_off = record.exc_info and isinstance(record.exc_info[1], CancelledError)
    return not (cut_off or record.getMessage().startswith("Cancel "))


def _login_check(logins: Tokens) -> Callable[[str, str], bool]:
    def check(name: str, password: str) -> bool:
        return logins.owner(password) == name

    return check


def _blocks(form: Form, heading: str) -> gr.Blocks:
    with gr.Blocks(title=heading, analytics_enabled=False, delete_cache=(3600, _FORGET)) as blocks:
        gr.Markdown(f"# {heading}")
        with gr.Row():
            with gr.Column(scale=2):
                inputs = Inputs(form.fields)
            with gr.Column(scale=3):
                results = Results()
        _connect(form, inputs, results)

        async def leave(request: gr.Request) -> None:
            await form.cancel(request.session_hash or "")

        blocks.unload(leave)
    return blocks


def _connect(form: Form, inputs: Inputs, results: Results) -> None:
    async def generate(
        given: dict[Any, Any], request: gr.Request
    ) -> AsyncGenerator[dict[Any, Any]]:
        seeds = {part: str(secrets.randbelow(RANDOM)) for part in inputs.to_draw(given)}
        yield {**seeds, inputs.stop: gr.update(interactive=True)}
        values = [{**given, **seeds}[part] for part in inputs.parts]
        shown = given[results.shown]
        async for update in form.run(request.session_hash or "", values):
            yield {results.status: update.status.html}
            if update.made:
                shown = [*update.made, *shown][:MOST_IN_GALLERY]
                yield results.updates(shown)
        yield {inputs.stop: gr.update(interactive=False)}

    async def cancel(request: gr.Request) -> None:
        await form.cancel(request.session_hash or "")

    inputs.go.click(
        generate,
        {*inputs.all, results.shown},
        [*inputs.parts, inputs.stop, *results.all],
        concurrency_limit=None,
        show_progress="hidden",
        api_visibility="private",
        trigger_mode="once",
    )
    inputs.stop.click(cancel, concurrency_limit=None, api_visibility="private")
