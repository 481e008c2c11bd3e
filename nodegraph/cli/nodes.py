"""`nodegraph nodes`: list the node types, show one of them, or compare them to a server's."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import ReportingCommand, as_json

if TYPE_CHECKING:
    from nodegraph.graph.spec import InputSpec, NodeSpec
    from nodegraph.packs.comparison import Comparison

_MOST_CHOICES = 6


@click.command(cls=ReportingCommand)
@click.argument("name", required=False)
@click.option(
    "--compare",
    "place",
    metavar="PLACE",
    type=options.FILE_OR_DASH,
    help="Compare the node types with those of another server: its address, or a file with"
    " the answer of its /object_info.",
)
@options.wants_json
@options.verbose
def nodes(name: str | None, place: str | None, wants_json: bool) -> None:
    """List the node types, or show one of them.

    With NAME, shows that node type's inputs, ranges, outputs and help.
    """
    if name is not None and place is not None:
        message = "NAME and --compare exclude each other."
        raise click.UsageError(message)
    workspace = options.open_workspace()
    registry = workspace.registry
    if place is not None:
        _compare(workspace, place, wants_json)
        return
    if name is None:
        _print_all(registry.catalog, wants_json)
        return
    spec = registry.spec(name)
    if wants_json:
        click.echo(as_json(_as_data(spec)))
        return
    for line in _spec_lines(spec):
        click.echo(line)


def _compare(workspace: options.Workspace, place: str, wants_json: bool) -> None:
    from nodegraph.cli.server_types import read_object_info
    from nodegraph.packs.comparison import compare

    theirs = read_object_info(place)
    found = compare(workspace.registry.catalog, theirs, workspace.files)
    if wants_json:
        click.echo(as_json(_as_data(found)))
        return
    for line in _comparison_lines(found, len(theirs)):
        click.echo(line)


def _comparison_lines(found: "Comparison", total: int) -> Iterable[str]:
    """Yield the lines of a comparison."""
    alike = [name for name in found.offered if name not in found.different]
    yield from _section("Offered", alike)
    yield from _section("Offered, but different", found.different)
    for name, lines in found.different.items():
        yield from (f"    {name}: {line}" for line in lines)
    yield click.style(f"Not offered ({len(found.missing)})", bold=True)
    for group in sorted(set(found.missing.values())):
        names = (name for name, category in found.missing.items() if category == group)
        yield f"  {group}: {', '.join(names)}"
    yield from _section("Only here", found.own)
    counts = f"{len(found.offered)} of {total} node types are offered"
    yield f"{counts}, {len(found.different)} of them different."


def _section(title: str, names: Collection[str]) -> Iterable[str]:
    yield click.style(f"{title} ({len(names)})", bold=True)
    if names:
        yield f"  {', '.join(names)}"


def _print_all(catalog: "Mapping[str, NodeSpec]", wants_json: bool) -> None:
    if wants_json:
        click.echo(as_json({name: _as_data(catalog[name]) for name in catalog}))
        return
    width = max((len(name) for name in catalog), default=0)
    groups = sorted({spec.category for spec in catalog.values()})
    for group in groups:
        click.secho(group, bold=True)
        for name, spec in catalog.items():
            if spec.category == group:
                click.echo(f"  {name:{width}}  {_first_line(spec.description)}")


def _as_data(spec: "NodeSpec | Comparison") -> dict[str, object]:
    from dataclasses import asdict  # Imported here, for `--help` does not need it.

    return asdict(spec)


def _spec_lines(spec: "NodeSpec") -> Iterable[str]:
    """Yield the lines of a node type."""
    yield click.style(spec.name, bold=True) + f"  ({spec.category})"
    if spec.deprecated or spec.experimental:
        yield "deprecated" if spec.deprecated else "experimental"
    if spec.description:
        yield ""
        yield from (f"  {line}".rstrip() for line in spec.description.splitlines())
    sections = {
        "Inputs": list(_input_rows(spec.inputs)),
        "Outputs": [
            (item.name, item.socket, "a list" if item.is_list else "") for item in spec.outputs
        ],
    }
    for title, rows in sections.items():
        if rows:
            yield ""
            yield title
            yield from _table(rows)


def _table(rows: list[tuple[str, str, str]]) -> Iterable[str]:
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    for name, socket, values in rows:
        yield f"  {name:{first}}  {socket:{second}}  {values}".rstrip()


def _input_rows(inputs: Iterable["InputSpec"], above: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield name, socket and values of inputs, and of those that choices bring along."""
    for item in inputs:
        name = f"{above}{item.name}"
        if item.row:
            keys = item.row.keys
            yield f"{name}.{keys[0]} …", item.row.item.socket, f"{item.row.least} to {len(keys)}"
            continue
        yield name, item.socket, _describe_values(item)
        for branch in item.branches:
            for inner, socket, values in _input_rows(branch.inputs, f"{name}."):
                yield inner, socket, f"for {branch.key}: {values}".removesuffix(": ")


def _describe_values(item: "InputSpec") -> str:
    """Describe an input's values in a few words."""
    values: list[str] = [] if item.required else ["optional"]
    if item.has_default:
        values.append(f"default {as_json(item.default)}")
    if item.minimum is not None or item.maximum is not None:
        low = "" if item.minimum is None else item.minimum
        high = "" if item.maximum is None else item.maximum
        values.append(f"{low} … {high}")
    if item.model_folder:
        values.append(f"a file of models/{item.model_folder}")
    if item.input_file:
        values.append(f"a file of the {item.file_folder} folder")
    if item.choices:
        more = ", …" if len(item.choices) > _MOST_CHOICES else ""
        values.append("one of " + ", ".join(item.choices[:_MOST_CHOICES]) + more)
    return "; ".join(values)


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
