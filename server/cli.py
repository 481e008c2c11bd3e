"""`nodegraph serve`: the server, until it is told to stop."""

from pathlib import Path
from typing import Any, get_args

import click

from nodegraph.choices import LogFormat, LogLevel, PreviewMethod
from nodegraph.cli import options
from nodegraph.cli.report import Reporting

_COMMON = ("models_dir", "input_dir", "output_dir", "preview_method", "result_cache")
"""Flags that are no keys of the `[server]` table."""


class Levels(click.ParamType[tuple[str, str]]):
    """`LEVEL`, or `ROOM=LEVEL`."""

    name = "[ROOM=]LEVEL"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The room and the level."""
        from nodegraph.setting_layers import pair

        room, level = pair(value)
        if level not in get_args(LogLevel):
            self.fail(f"{level!r} is none of {', '.join(get_args(LogLevel))}.", param, ctx)
        return room, level


@click.command(cls=Reporting)
@click.option("--host", help="The address to listen on; 127.0.0.1 if not set.")
@click.option("--port", type=click.IntRange(0, 65535), help="8188 if not set; 0 is any free one.")
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="A further name that the server goes by; repeatable.",
)
@click.option(
    "--token",
    help="What clients have to know; lists of processes show it to others.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Holds it; or a `name: token` a line, and each name has runs and files of its own.",
)
@options.folders
@click.option("--data-dir", type=click.Path(path_type=Path), help="Holds the queue and history.")
@click.option(
    "--device",
    "devices",
    metavar="DEVICE",
    multiple=True,
    help="cpu, cuda:0, …: a worker process on each; repeatable. All CUDA devices if not set.",
)
@click.option(
    "--reload-packs",
    is_flag=True,
    default=None,
    help="Read packs again when their files change, while you write them.",
)
@click.option("--slots", type=click.IntRange(1), help="Runs at once on a device; 1 if not set.")
@click.option(
    "--preview",
    "preview_method",
    type=click.Choice(get_args(PreviewMethod)),
    help="How unfinished images are shown to those who look.",
)
@options.result_cache
@click.option(
    "--drain",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="How long runs may take to finish once the server is told to stop; 60 if not set.",
)
@click.option(
    "--history",
    type=click.IntRange(0),
    metavar="RUNS",
    help="How many runs that are over are kept; 10000 if not set.",
)
@click.option(
    "--history-days",
    type=click.FloatRange(0, 36_500),
    metavar="DAYS",
    help="How many days they are kept; for ever if not set.",
)
@click.option(
    "--webhook-host",
    "webhook_hosts",
    metavar="HOST",
    multiple=True,
    help="A host, address or network that may be told when a run is over; repeatable.",
)
@click.option("--log-format", type=click.Choice(get_args(LogFormat)), help="text if not set.")
@click.option(
    "--log-level",
    "log_levels",
    type=Levels(),
    multiple=True,
    help="From which level on a room logs, as in server.store=debug, or all of them; repeatable.",
)
@options.verbose
def serve(**flags: Any) -> None:
    """Take graphs over HTTP and run them, in ComfyUI's dialect and in our own.

    Only this machine can reach it, unless --host says otherwise; then it needs a token.
    Ctrl-C or SIGTERM lets what runs finish; what waits is kept for the next time.

    Each option can be set in nodegraph.toml and in the environment, too.
    """
    import asyncio
    import signal

    from server.running import run_server

    common = {name: flags.pop(name) for name in _COMMON}
    flags["log_levels"] = dict(flags["log_levels"])
    stops = (signal.SIGINT, signal.SIGTERM)
    asyncio.run(run_server({**common, "server": flags}, stops))
