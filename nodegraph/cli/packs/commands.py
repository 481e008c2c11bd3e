"""`nodegraph packs list|check|try` and `nodegraph new-pack`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import EXIT_FAILED, ReportingCommand, as_json

if TYPE_CHECKING:
    from nodegraph.packs.catalog import PackSource
    from nodegraph.packs.environment.advice import Advice
    from nodegraph.packs.installed import LoadedPack
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings


_COLORS = {"runs": "green", "fails": "red", "not tried": "yellow"}


class Group(ReportingCommand, click.Group):
    """Commands about packs."""


@click.group(cls=Group)
def packs() -> None:
    """List the packs, or check your own."""


@packs.command("list", cls=ReportingCommand)
@options.wants_json
@options.verbose
def listing(wants_json: bool) -> None:
    """List the packs, their node types, missing Python packages, and errors of broken packs."""
    registry, versions = _registry(), _Versions()
    if wants_json:
        click.echo(as_json(_as_data(registry, versions)))
        return
    for pack in registry.packs:
        count = len(registry.types_of(pack.name))
        click.echo(f"{pack.name} {pack.version}: {count} node types, {pack.root}")
        for line in _advice(pack, versions).lines():
            click.secho(f"  {line}", fg="yellow")
        for name, reason in pack.left_out.items():
            click.secho(f"  the node type {name} is left out: {reason}", fg="yellow")
    for problem in registry.problems:
        click.secho(f"left out: {problem}", fg="yellow")


@packs.command(cls=ReportingCommand)
@click.argument("name", metavar="NAME|FOLDER", type=options.FILE_OR_DASH)
@options.wants_json
@options.verbose
@click.pass_context
def check(ctx: click.Context, name: str, wants_json: bool) -> None:
    """Check a pack without running its nodes.

    It looks for failing imports, Python packages that are not installed, missing docstrings and
    categories, names that other packs have, and imports of modules that are not public or run
    pickles. Of a pack for ComfyUI it checks the first two, and the names. Exits with 1 if there is
    an error.
    """
    from dataclasses import asdict, replace

    from nodegraph.packs.lint import check_pack
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings

    settings, source = Settings.read(), _source(name)
    names = (found.name for found in _sources(settings, settings.packs))
    others = Registry.from_settings(
        replace(settings, packs=tuple(found for found in names if found != source.name))
    )
    known = {
        type_name: pack.name
        for pack in others.packs
        for type_name in others.types_of(pack.name)
        if not others.spec(type_name).gives_way
    }
    findings = check_pack(source, known, settings.pack_patience)
    if wants_json:
        click.echo(as_json([asdict(found) for found in findings]))
    else:
        for found in findings:
            click.secho(str(found), fg="red" if found.level == "error" else "yellow")
        if not findings:
            click.echo(f"{source.name}: nothing to complain about")
    if any(found.level == "error" for found in findings):
        ctx.exit(EXIT_FAILED)


@packs.command("try", cls=ReportingCommand)
@click.argument("name")
@click.option("--type", "only", multiple=True, help="Try this node type only; repeatable.")
@click.option(
    "--patience",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    help="The most seconds that one node type may take.",
)
@options.wants_json
@options.verbose
@click.pass_context
def try_pack(
    ctx: click.Context, name: str, only: tuple[str, ...], patience: float, wants_json: bool
) -> None:
    """Run each node type of a pack once, and tell which ones run here.

    Each gets a graph of its own: its defaults, small images and latents on its links, the model of
    the demo, and nodes that use its outputs. One that needs a file which is not there, or a value
    that nothing makes, is not tried. What nodes save is deleted. Exits with 1 if any fails. With
    --json it prints one line of JSON for each node type, with what its graph shows.
    """
    from dataclasses import asdict

    from nodegraph.cli.packs.trial_process import trials

    registry = _registry()
    names = _names_to_try(registry, name, only)
    counts: dict[str, int] = {}
    for trial in trials(name, names, patience):
        counts[trial.outcome] = counts.get(trial.outcome, 0) + 1
        if wants_json:
            click.echo(as_json(asdict(trial), indent=None))
        else:
            reason = f": {trial.reason}" if trial.reason else ""
            click.secho(f"{trial.type_name} {trial.outcome}{reason}", fg=_COLORS[trial.outcome])
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    click.echo(f"{name}: {told or 'it has no node types'}", err=wants_json)
    if counts.get("fails"):
        ctx.exit(EXIT_FAILED)


@click.command("new-pack", cls=ReportingCommand)
@click.argument("name")
@click.option(
    "--folder",
    type=options.HomePath(path_type=Path, file_okay=False),
    help="The folder to make it in; the packs folder if not set.",
)
@options.verbose
def new_pack(name: str, folder: Path | None) -> None:
    """Make a new pack: a folder with a node and its test.

    The folder can be installed by pip, too.
    """
    from nodegraph.packs.scaffold import make_pack
    from nodegraph.settings.settings import Settings

    root = make_pack(name, folder or Settings.read().packs_dir)
    click.echo(root)
    click.echo(f"Its node type is in {root / 'node_types.py'}; to test it: pytest {root}", err=True)


def _registry() -> "Registry":
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings

    return Registry.from_settings(Settings.read())


def _source(name: str) -> "PackSource":
    """Return the pack in that folder, or of that name; one for ComfyUI by its name.

    Raises:
        PackError: there is none.
    """
    import sys

    from nodegraph.packs.catalog import PackSource
    from nodegraph.settings.settings import Settings

    folder = Path(name)
    if (folder / "__init__.py").is_file():
        module = folder.absolute()
        sys.path.insert(0, str(module.parent))
        return PackSource(module.name, module.name)
    return _sources(Settings.read(), [name])[0]


def _sources(settings: "Settings", names: Iterable[str] | None) -> "list[PackSource]":
    """Return the packs of those names, all if None, without importing any.

    Raises:
        PackError: one is not there.
    """
    from nodegraph.packs.installed import hosted_packs, pack_sources
    from nodegraph.packs.routes import PackServer

    hosted, _ = hosted_packs(settings, PackServer())
    return pack_sources(settings.packs_dir, names, hosted)[0]


class _Versions(dict[str, "Mapping[str, str]"]):
    """The packages that packs find, by the Python program of their environment; read once."""

    def __missing__(self, python: str) -> "Mapping[str, str]":
        from nodegraph.packs.environment.requirements import versions_for

        self[python] = found = versions_for(python)
        return found


def _names_to_try(registry: "Registry", pack: str, only: Sequence[str]) -> Sequence[str]:
    """Return the node types to try.

    Raises:
        PackError: the pack is not there, or was left out.
        UnknownNodeTypeError: it has no node type of one of the names.
    """
    from nodegraph.errors import PackError, UnknownNodeTypeError
    from nodegraph.settings.settings import Settings

    if pack not in [each.name for each in registry.packs]:
        source = _sources(Settings.read(), [pack])[0]
        left_out = PackError("the settings leave it out.", details={"pack": source.name})
        problems = (found for found in registry.problems if found.details.get("pack") == pack)
        raise next(problems, left_out)
    own = registry.types_of(pack)
    for name in only:
        if name not in own:
            raise UnknownNodeTypeError(name, own)
    return only or own


def _advice(pack: "LoadedPack", versions: _Versions) -> "Advice":
    from nodegraph.packs.environment.advice import advice_for

    missing = dict.fromkeys(pack.without, "")
    return advice_for(pack.folder, missing, versions[pack.python], pack.python)


def _as_data(registry: "Registry", versions: _Versions) -> dict[str, object]:
    return {
        "packs": [
            {
                "name": pack.name,
                "version": pack.version,
                "folder": str(pack.root),
                "node_types": registry.types_of(pack.name),
                "left_out": dict(pack.left_out),
                **_advice(pack, versions).as_dict(),
            }
            for pack in registry.packs
        ],
        "left_out": [problem.as_dict() for problem in registry.problems],
    }
