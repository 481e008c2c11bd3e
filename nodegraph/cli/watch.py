"""`nodegraph watch`: a server's queue in the terminal, until Ctrl-C."""

import click

from nodegraph.cli.terminal.report import Reporting

LOCAL = "http://127.0.0.1:8188"


@click.command(cls=Reporting)
@click.option("--server", "url", default=LOCAL, show_default=True, help="Where the server is.")
@click.option("--token", help="What it wants to know; the one in the settings if not given.")
@click.option(
    "--last", type=click.IntRange(0, 1000), default=5, show_default=True, help="How many over."
)
def watch(url: str, token: str | None, last: int) -> None:
    """Follow a server's queue: what runs, what waits, what is over.

    On a terminal it is drawn anew all the time; elsewhere each change is a line. A server that
    goes away is waited for. Ctrl-C ends it, and nothing else.
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
