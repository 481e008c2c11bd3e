"""`nodegraph app`: the command line of the form."""

from pathlib import Path
from typing import Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import ReportingCommand


@click.command(cls=ReportingCommand)
@options.workflow
@click.option("--server", "url", help="The URL of a running server; without it, one is started.")
@click.option("--token", help="The token of that server; by default the one in the settings.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7860,
    show_default=True,
    help="0 is any free one.",
)
@click.option(
    "--expose",
    "wanted",
    metavar="NODE.INPUT",
    multiple=True,
    help="Show this input, by its node's id or title, and no others; repeatable.",
)
@click.option(
    "--login-file",
    type=click.Path(path_type=Path),
    help="A file with one `name: password` a line; only these users can log in.",
)
@options.folders
@click.option(
    "--device",
    "devices",
    metavar="DEVICE",
    multiple=True,
    help="The device of a server that is started: cpu, cuda:0, …; repeatable.",
)
@options.verbose
def app(**flags: Any) -> None:
    """Show a workflow as a form in the browser.

    Each visitor has a separate place in the queue. Only this machine can reach the page, unless
    --host says otherwise; then it needs --login-file. Ctrl-C ends it.
    """
    from server.form.serving import AppOptions, serve_form

    serve_form(AppOptions(**flags))
