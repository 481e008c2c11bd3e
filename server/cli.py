"""`nodegraph serve`: the command line of the server."""

from pathlib import Path
from typing import Any, get_args

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import ReportingCommand
from nodegraph.runtime.choices import LogFormat, LogLevel, Placement, Prefer, PreviewMethod, Scripts


class Levels(click.ParamType[tuple[str, str]]):
    """A log level for all rooms or for one: `LEVEL` or `ROOM=LEVEL`."""

    name = "[ROOM=]LEVEL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Return the room and the level."""
        from nodegraph.settings.layers import pair

        room, level = pair(value)
        if level not in get_args(LogLevel):
            self.fail(f"{level!r} is none of {', '.join(get_args(LogLevel))}.", param, ctx)
        return room, level


class Slots(click.ParamType[tuple[str, int]]):
    """A number of runs for all ComfyUI servers or for one: `RUNS` or `NAME=RUNS`."""

    name = "[NAME=]RUNS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        """Return the server's name and the number."""
        from nodegraph.settings.layers import pair

        server, runs = pair(value)
        return server, click.IntRange(1)(runs, param, ctx)


@click.command(cls=ReportingCommand)
@click.option("--host", help="The address to listen on; 127.0.0.1 if not set.")
@click.option("--port", type=click.IntRange(0, 65535), help="8188 if not set; 0 is any free one.")
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="Another host name that the server is reached under; repeatable.",
)
@click.option(
    "--token",
    help="The secret that clients have to send; other users see it in the list of processes.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="A file with the token, or with one `name: token` a line: separate runs and files.",
)
@options.folders
@click.option(
    "--data-dir", type=click.Path(path_type=Path), help="The folder for the queue and the history."
)
@click.option(
    "--database",
    metavar="URL",
    help="A Postgres database for the queue, such as postgresql://user@host/nodegraph (extra"
    " postgres); SQLite in the data folder if not set.",
)
@click.option(
    "--workers",
    metavar="local|ray|ray://HOST:PORT",
    help="Where runs are computed: by processes on this machine, or by actors of a Ray cluster.",
)
@click.option(
    "--device",
    "devices",
    metavar="DEVICE",
    multiple=True,
    help="cpu, cuda:0, xpu:0, …: a worker process on each; repeatable. Every card if not set.",
)
@click.option(
    "--reload-packs",
    is_flag=True,
    default=None,
    help="Reload packs when their files change; for writing packs.",
)
@click.option(
    "--warm",
    metavar="WORKFLOW",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A workflow file whose models are in memory before the server is ready; repeatable.",
)
@click.option(
    "--keep",
    is_flag=True,
    default=None,
    help="Keep the models of --warm in memory, whatever else is loaded.",
)
@click.option("--slots", type=click.IntRange(1), help="Runs at once on a device; 1 if not set.")
@click.option(
    "--merge",
    is_flag=True,
    default=None,
    help="Make model calls of the runs on a device as one, where their shapes allow; see --slots.",
)
@click.option(
    "--preview",
    "preview_method",
    type=click.Choice(get_args(PreviewMethod)),
    help="How previews of unfinished images are made.",
)
@options.result_cache
@options.device_result_cache
@options.disk_result_cache
@options.weights_cache
@options.memory_budget
@options.memory_reserve
@click.option(
    "--drain",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long active runs may take to finish when the server stops; 60 if not set.",
)
@click.option(
    "--history",
    type=click.IntRange(0),
    metavar="RUNS",
    help="How many finished runs are kept; 10000 if not set.",
)
@click.option(
    "--history-days",
    type=click.FloatRange(0, 36_500),
    metavar="DAYS",
    help="How many days finished runs are kept; for ever if not set.",
)
@click.option(
    "--webhook-host",
    "webhook_hosts",
    metavar="HOST",
    multiple=True,
    help="A host, address or network that webhooks may be sent to; repeatable.",
)
@click.option(
    "--comfyui",
    metavar="[NAME=]ADDRESS",
    multiple=True,
    help="A ComfyUI server that runs what only it can, such as http://127.0.0.1:8000; repeatable.",
)
@click.option(
    "--comfyui-slots",
    type=Slots(),
    multiple=True,
    help="Runs that a ComfyUI server, or each, is given at once; 1 if not set; repeatable.",
)
@click.option(
    "--comfyui-scripts",
    type=click.Choice(get_args(Scripts)),
    help="The ComfyUI servers whose packs' scripts the editor runs; local (on this machine) if not"
    " set.",
)
@click.option(
    "--placement",
    type=click.Choice(get_args(Placement)),
    help="Which of several workers gets a run: the one that has its models in memory, or whichever"
    " is free, in the order of the queue; models if not set.",
)
@click.option(
    "--prefer",
    type=click.Choice(get_args(Prefer)),
    help="Where runs go that a ComfyUI server could run just as well; native if not set.",
)
@click.option("--log-format", type=click.Choice(get_args(LogFormat)), help="text if not set.")
@click.option(
    "--log-level",
    "log_levels",
    type=Levels(),
    multiple=True,
    help="The lowest level that is logged, for all rooms or one: server.store=debug; repeatable.",
)
@options.verbose
def serve(**flags: Any) -> None:
    """Serve ComfyUI's HTTP API and our own, with a queue.

    Only this machine can reach the server, unless --host says otherwise; then it needs a token.
    After Ctrl-C or SIGTERM active runs may finish, and waiting runs are kept for the next start.

    Every option can also be set in nodegraph.toml or in the environment.
    """
    import asyncio
    import signal
    from dataclasses import fields

    from nodegraph.settings.server import ServerSettings
    from server.lifecycle.run import run_server

    for name in ("log_levels", "comfyui_slots"):
        flags[name] = dict(flags[name])
    table = {
        item.name: flags.pop(item.name) for item in fields(ServerSettings) if item.name in flags
    }
    stops = (signal.SIGINT, signal.SIGTERM)
    asyncio.run(run_server({**flags, "server": table}, stops))
