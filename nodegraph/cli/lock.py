"""`nodegraph lock`: write down what a workflow is made with."""

from pathlib import Path
from typing import Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import ReportingCommand


@click.command(cls=ReportingCommand)
@options.workflow
@click.option(
    "-o", "--output", type=options.HomePath(path_type=Path), help="The lock file to write."
)
@options.folders
@options.verbose
def lock(workflow: str, output: Path | None, **folders: Any) -> None:
    """Write a lock file for `nodegraph run --locked`.

    WORKFLOW.lock.json, beside the workflow, gets the versions of its node types, the sha256 of
    its models and inputs, and the versions of Python and of the packages.
    """
    from nodegraph.execution.lockfile import Lock, lock_path

    workspace = options.open_workspace(**folders)
    graph = options.read_graph(workflow, workspace)
    path = output or lock_path(Path(workflow if workflow != "-" else "workflow.json"))
    text = Lock.from_graph(graph, workspace.registry, workspace.files).text()
    options.write_text(path, text, "-o")
    click.echo(path)
