"""`nodegraph validate`: every problem of a workflow at once, without running it."""

from typing import Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.missing_view import as_missing_data, report_problems
from nodegraph.cli.terminal.report import (
    EXIT_INVALID,
    CheckingCommand,
    as_data,
    as_json,
    warn,
)


@click.command(cls=CheckingCommand)
@options.workflow
@options.folders
@options.wants_json
@options.verbose
@click.pass_context
def validate(
    ctx: click.Context,
    workflow: str,
    wants_json: bool,
    **folders: Any,
) -> None:
    """Check a workflow without running it.

    WORKFLOW is a JSON file in the editor's or the API's format, an image that carries one, or
    - for stdin. Lists every problem, and exits with 2 if there is one.
    """
    from nodegraph.validation.validate import check

    workspace = options.open_workspace(**folders)
    graph = options.read_graph(workflow, workspace)
    checked = check(graph, workspace.registry, workspace.files)
    if wants_json:
        found = as_data(checked.problems, checked.warnings)
        missing = as_missing_data(checked.problems, graph, workspace)
        click.echo(as_json({"valid": not checked.problems} | found | {**missing}))
    else:
        titles = options.titles(graph)
        for warning in checked.warnings:
            warn(str(warning))
        report_problems(checked.problems, graph, workspace, titles, workflow)
    if checked.problems:
        ctx.exit(EXIT_INVALID)
    if not wants_json:
        click.echo(f"{workflow}: valid, {len(checked.graph.nodes)} nodes")
