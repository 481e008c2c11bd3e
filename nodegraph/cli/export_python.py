"""`nodegraph export-python`: a workflow as Python code; `nodegraph stubs`: types for such code."""

from pathlib import Path
from typing import Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import ReportingCommand


@click.command("export-python", cls=ReportingCommand)
@options.workflow
@click.option(
    "-o",
    "--output",
    type=options.HomePath(path_type=Path),
    help="The file to write; stdout if not set.",
)
@options.folders
@options.verbose
def export_python(workflow: str, output: Path | None, **folders: Any) -> None:
    """Print a workflow as Python code.

    The code builds the same graph and runs it.
    """
    from nodegraph.python.export import as_python

    workspace = options.open_workspace(**folders)
    name = "a workflow" if workflow == "-" else Path(workflow).name
    graph = options.read_graph(workflow, workspace)
    options.warn_of_remarks(graph)
    code = as_python(graph, workspace.registry.catalog, name)
    if output is None:
        click.echo(code, nl=False)
    else:
        options.write_text(output, code, "-o")
        click.echo(output)


@click.command(cls=ReportingCommand)
@click.option(
    "-o",
    "--output",
    type=options.HomePath(path_type=Path, file_okay=False),
    default=Path("typings"),
    show_default=True,
    help="The folder where type checkers look for stubs.",
)
@options.verbose
def stubs(output: Path) -> None:
    """Write type stubs for the nodes of all packs.

    Type checkers and editors read them where Python code builds graphs. The built-in pack has its
    stubs already.
    """
    from nodegraph.python.stubs import SHIPPED
    from nodegraph.python.stubs import stubs as stubs_of

    path = output / SHIPPED.relative_to(SHIPPED.parents[2])
    text = stubs_of(options.open_workspace().registry.catalog)
    options.write_text(path, text, "-o", make_folders=True)
    click.echo(path)
