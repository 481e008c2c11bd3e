"""`nodegraph app`: from its options to the served page."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import click

from nodegraph.cli.assign import node_of
from nodegraph.cli.options import titles, workflow_source
from nodegraph.client import AsyncClient
from nodegraph.graph.graph import Graph
from nodegraph.settings.settings import Settings
from nodegraph.workflow.editor.shapes import Shape, Shapes, shape_of
from nodegraph.workflow.read import read_workflow
from server.form.errors import FormError
from server.form.exposing import choose_fields, default_fields
from server.form.fields import Field
from server.form.own_server import own_server
from server.form.runs import Form
from server.web.security import is_loopback
from server.web.tokens import Tokens, read_tokens

_SIGTERM_CODE = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class AppOptions:
    """The options of `nodegraph app`."""

    workflow: str
    url: str | None
    token: str | None
    host: str
    port: int
    wanted: Sequence[str]
    login_file: Path | None
    models_dir: Sequence[Path]
    input_dir: Path | None
    output_dir: Path | None
    devices: Sequence[str]

    @property
    def flags(self) -> list[str]:
        """The options for the form's own server."""
        named = [("--models-dir", path) for path in self.models_dir]
        named += [("--device", name) for name in self.devices]
        named += [("--input-dir", self.input_dir), ("--output-dir", self.output_dir)]
        return [text for name, value in named if value for text in (name, str(value))]


def serve_form(wanted: AppOptions) -> None:
    """Serve the page until Ctrl-C or SIGTERM.

    Raises:
        FormError: the form cannot be made or served.
        NodeGraphError: something is wrong with the workflow, the settings or the server.
    """
    if find_spec("gradio") is None:
        message = "the page needs Gradio, which is not installed."
        raise FormError(message, hint="pip install 'nodegraph[app]'")
    logins = _logins(wanted)
    source = workflow_source(wanted.workflow)
    signal.signal(signal.SIGTERM, _leave)
    with (
        TemporaryDirectory(prefix="nodegraph-app-", ignore_cleanup_errors=True) as folder,
        _open_listener(wanted.host, wanted.port) as listener,
        _server(wanted, Path(folder, "queue")) as (url, token),
    ):
        info = asyncio.run(_info(url, token))
        graph = read_workflow(source, _shapes(info))
        made = Path(folder, "made")
        made.mkdir()
        form = Form(graph, _fields(graph, info, wanted.wanted), url, token, made, titles(graph))
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # before it is imported
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder, "gradio"))
        from server.form.page import serve_page

        port = listener.getsockname()[1]
        host = f"[{wanted.host}]" if ":" in wanted.host else wanted.host
        click.echo(f"http://{host}:{port}")
        serve_page(form, _heading(wanted.workflow), listener, wanted.host, logins)


def _logins(wanted: AppOptions) -> Tokens:
    logins = read_tokens(wanted.login_file) if wanted.login_file else Tokens()
    if not is_loopback(wanted.host) and not logins:
        message = f"--host {wanted.host} lets other machines in, and needs a login."
        raise FormError(message, hint="--login-file FILE, with `name: password` a line.")
    return logins


@contextmanager
def _server(wanted: AppOptions, data_dir: Path) -> Generator[tuple[str, str]]:
    """Yield the URL and token of the server that computes; start one if none is given."""
    settings = Settings.read().server
    token = wanted.token or settings.token
    if wanted.url is not None:
        yield wanted.url, token
        return
    if settings.token_file and not token:
        token = next(iter(read_tokens(settings.token_file).by_owner.values()))
    with own_server(wanted.flags, data_dir) as url:
        yield url, token


@contextmanager
def _open_listener(host: str, port: int) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        message = f"the page cannot be served at {host}, port {port}: {error.strerror}."
        raise FormError(message, hint="Choose another port with --port.") from error
    with listener:
        yield listener


async def _info(url: str, token: str) -> Mapping[str, Any]:
    async with AsyncClient(url, token=token, patience=5) as client:
        return await client.object_info()


def _shapes(info: Mapping[str, Any]) -> Shapes:
    def shape(name: str) -> Shape | None:
        return shape_of(name, info[name]) if name in info else None

    return shape


def _fields(graph: Graph, info: Mapping[str, Any], wanted: Sequence[str]) -> list[Field]:
    if not wanted:
        return default_fields(graph, info)
    pairs: list[tuple[str, str]] = []
    for text in wanted:
        node, name = node_of(text, graph.nodes, "--expose")
        pairs.append((node.id, name))
    return choose_fields(graph, info, pairs)


def _heading(workflow: str) -> str:
    name = "Workflow" if workflow == "-" else Path(workflow).stem.replace("_", " ").strip()
    return name[:1].upper() + name[1:]


def _leave(*_: object) -> NoReturn:
    sys.exit(_SIGTERM_CODE)
