"""`nodegraph validate`: every problem of a workflow at once, without running it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import (
    EXIT_INVALID,
    ReportingCommand,
    as_data,
    as_json,
    parts_of,
    report,
    warn,
)

if TYPE_CHECKING:
    from nodegraph.errors import NodeGraphError


class ValidateCommand(ReportingCommand):
    """The `validate` command: with `--json`, an unreadable workflow is a problem as any other."""

    def refuse(self, error: "NodeGraphError", *, wants_json: bool) -> None:
        """Show why there is nothing to check."""
        if wants_json:
            _print_json(parts_of(error))
        else:
            super().refuse(error, wants_json=False)


@click.command(cls=ValidateCommand)
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
        _print_json(checked.problems, checked.warnings)
    else:
        titles = options.titles(graph)
        for warning in checked.warnings:
            warn(str(warning))
        for problem in checked.problems:
            report(problem, titles)
    if checked.problems:
        ctx.exit(EXIT_INVALID)
    if not wants_json:
        click.echo(f"{workflow}: valid, {len(checked.graph.nodes)} nodes")


def _print_json(
    problems: "Sequence[NodeGraphError]", warnings: "Sequence[NodeGraphError]" = ()
) -> None:
    click.echo(as_json({"valid": not problems} | as_data(problems, warnings)))
