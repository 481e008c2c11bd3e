"""The command line: `nodegraph run`, `validate`, `convert`, …, and what other packages add."""

from collections.abc import Callable, Mapping
from functools import cache

import click

from nodegraph.cli.report import Reporting
from nodegraph.entry_points import entry_points

GROUP = "nodegraph.commands"


class Commands(Reporting, click.Group):
    """Imports a command when it is needed; packages add theirs as entry points of `GROUP`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command's name, ours first."""
        return [*_OWN, *sorted(_others().keys() - _OWN.keys())]

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """The command of that name, imported now."""
        if cmd_name in _OWN:
            return _OWN[cmd_name]()
        reference = _others().get(cmd_name)
        return _load(reference) if reference else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; names the nearest if there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from nodegraph.errors import nearest

            if not args or args[0] in self.list_commands(ctx):
                raise
            hint = nearest(args[0], self.list_commands(ctx))
            message = f"No such command {args[0]!r}. {hint}".strip()
            raise click.UsageError(message, ctx) from error


def _run() -> click.Command:
    from nodegraph.cli.run import run

    return run


def _validate() -> click.Command:
    from nodegraph.cli.validate import validate

    return validate


def _nodes() -> click.Command:
    from nodegraph.cli.nodes import nodes

    return nodes


def _convert() -> click.Command:
    from nodegraph.cli.convert import convert

    return convert


def _lock() -> click.Command:
    from nodegraph.cli.lock import lock

    return lock


def _export_python() -> click.Command:
    from nodegraph.cli.export_python import export_python

    return export_python


def _stubs() -> click.Command:
    from nodegraph.cli.export_python import stubs

    return stubs


def _packs() -> click.Command:
    from nodegraph.cli.packs import packs

    return packs


def _new_pack() -> click.Command:
    from nodegraph.cli.packs import new_pack

    return new_pack


def _watch() -> click.Command:
    from nodegraph.cli.watch_queue import watch

    return watch


_OWN: Mapping[str, Callable[[], click.Command]] = {
    "run": _run,
    "validate": _validate,
    "nodes": _nodes,
    "convert": _convert,
    "lock": _lock,
    "export-python": _export_python,
    "stubs": _stubs,
    "watch": _watch,
    "packs": _packs,
    "new-pack": _new_pack,
}


@cache
def _others() -> Mapping[str, str]:
    """What packages add; looked up once, for that is a tenth of what `--help` takes."""
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
    """Run node-graph workflows: check them, run them, look at what they are made of."""


def main() -> None:
    """Run the command line, and exit."""
    cli()
