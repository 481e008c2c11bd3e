"""The command line: `nodegraph run`, `validate`, `convert`, …, and what other packages add."""

from collections.abc import Mapping
from functools import cache

import click

from nodegraph.cli.terminal.report import EXIT_FAILED, ReportingCommand, report_no_room
from nodegraph.runtime.entry_points import entry_points

GROUP = "nodegraph.commands"


class Commands(ReportingCommand, click.Group):
    """Imports a command when it is needed; packages add theirs as entry points of `GROUP`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return every command's name, ours first."""
        return [*_OWN, *sorted(_others().keys() - _OWN.keys())]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Return the command of that name, imported now."""
        reference = _OWN.get(cmd_name) or _others().get(cmd_name)
        return _load(reference) if reference else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name; names the nearest if there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from nodegraph.errors import nearest

            if not args or args[0] in self.list_commands(ctx):
                raise
            hint = nearest(args[0], self.list_commands(ctx))
            message = f"No such command {args[0]!r}. {hint}".strip()
            raise click.UsageError(message, ctx) from error


_OWN: Mapping[str, str] = {
    "run": "nodegraph.cli.run:run",
    "validate": "nodegraph.cli.validate:validate",
    "explain": "nodegraph.cli.explain:explain",
    "nodes": "nodegraph.cli.nodes:nodes",
    "convert": "nodegraph.cli.convert:convert",
    "lock": "nodegraph.cli.lock:lock",
    "export-python": "nodegraph.cli.export_python:export_python",
    "stubs": "nodegraph.cli.export_python:stubs",
    "watch": "nodegraph.cli.watch:watch",
    "packs": "nodegraph.cli.packs.commands:packs",
    "new-pack": "nodegraph.cli.packs.commands:new_pack",
}
"""The module of each command, in the order of `--help`; a new command is one row."""


@cache
def _others() -> Mapping[str, str]:
    """Return the commands that packages add; cached, for the look-up is a tenth of `--help`."""
    return entry_points(GROUP)


def _load(reference: str) -> click.Command | None:
    from pkgutil import resolve_name

    found = resolve_name(reference)
    return found if isinstance(found, click.Command) else None


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        click.echo(f"nodegraph {version('nodegraph')}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """Check, explain and run node-graph workflows, here or on a server."""


def main() -> None:
    """Run the command line, and exit; with 1 if there is no room for what it writes."""
    try:
        cli()
    except OSError as error:
        if not report_no_room(error):
            raise
        raise SystemExit(EXIT_FAILED) from None
