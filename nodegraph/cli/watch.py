"""`nodegraph watch`: a server's queue in the terminal, until Ctrl-C."""

import click

from nodegraph.cli.terminal.report import ReportingCommand

LOCAL = "http://127.0.0.1:8188"


@click.command(cls=ReportingCommand)
@click.option("--server", "url", default=LOCAL, show_default=True, help="The URL of the server.")
@click.option("--token", help="The token of that server; by default the one in the settings.")
@click.option(
    "--last",
    type=click.IntRange(0, 1000),
    default=5,
    show_default=True,
    help="How many finished runs to show.",
)
def watch(url: str, token: str | None, last: int) -> None:
    """Show a server's queue, and follow it as it changes.

    Shows the runs that are active, waiting and finished: on a terminal as one image that changes,
    elsewhere as a line for each change. If the server goes away, it waits until it is back. Ctrl-C
    ends the command and leaves the queue alone.
    """
    import asyncio

    from nodegraph.cli.terminal.queue_polling import follow_queue
    from nodegraph.cli.terminal.queue_view import open_view
    from nodegraph.client import AsyncClient
    from nodegraph.settings.settings import Settings

    async def follow() -> None:
        known = Settings.read().server.token if token is None else token
        async with AsyncClient(url, token=known, timeout=10, patience=0) as client:
            with open_view(url) as view:
                await follow_queue(client, view, last)

    asyncio.run(follow())
