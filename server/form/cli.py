"""`nodegraph app`: a workflow as a form in the browser, until it is told to stop."""

from pathlib import Path
from typing import Any

import click

from nodegraph.cli import options
from nodegraph.cli.report import Reporting


@click.command(cls=Reporting)
@options.workflow
@click.option("--server", "url", help="A server that runs; one is started if this is not given.")
@click.option(
    "--token", help="What that server wants to know; the one in the settings if not given."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=7860, show_default=True, help="0 is any."
)
@click.option(
    "--expose",
    "wanted",
    metavar="NODE.INPUT",
    multiple=True,
    help="Ask for this input, by its node's id or title, and for no other; repeatable.",
)
@click.option(
    "--login-file",
    type=click.Path(path_type=Path),
    help="Holds `name: password` a line; who has none of them is not let in.",
)
@options.folders
@click.option("--device", "devices", metavar="DEVICE", multiple=True, help="cpu, cuda:0, …")
@options.verbose
def app(**flags: Any) -> None:
    """Show a workflow as a form: prompts, sizes, seeds, models, pictures in; images out.

    Whoever opens the page has a place in the queue of their own. Only this machine can reach it,
    unless --host says otherwise; then it needs --login-file. Ctrl-C ends it.
    """
    from server.form.serving import Wanted, serve_form

    serve_form(Wanted(**flags))
