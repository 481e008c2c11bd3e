"""`nodegraph serve`: the server, until it is told to stop."""

import asyncio
import logging
import signal
from pathlib import Path
from typing import Any

import click

from nodegraph.cli import options
from nodegraph.cli.report import Reporting


@click.command(cls=Reporting)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8188, show_default=True)
@click.option("--allow-host", multiple=True, help="A further name the server goes by; repeatable.")
@click.option("--token", default="", help="What clients have to know.")
@click.option("--token-file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--data-dir", type=click.Path(path_type=Path), help="Holds the queue.")
@click.option("--slots", type=click.IntRange(1), default=1, help="Runs at once on a device.")
@options.folders
@options.verbose
def serve(**flags: Any) -> None:
    """Take graphs over HTTP and run them, in ComfyUI's dialect and in our own.

    Only this machine can reach it, unless --host says otherwise; then it needs a token.
    """
    from server.running import run_server

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(run_server(flags, (signal.SIGINT, signal.SIGTERM)))
