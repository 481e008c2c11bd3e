"""`nodegraph validate`: every problem of a workflow at once, without running it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import click

from nodegraph.cli import options
from nodegraph.cli.report import WRONG, Reporting, as_json, report, warn

if TYPE_CHECKING:
    from nodegraph.errors import NodeGraphError


@click.command(cls=Reporting)
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

    WORKFLOW is a JSON file, an image that carries one, or - for stdin. Exits with 2 if
    anything is wrong, and says all that is.
    """
    from nodegraph.errors import InvalidWorkflowError
    from nodegraph.validate import check

    opened = options.open_all(**folders)
    try:
        graph = options.read_graph(workflow)
    except InvalidWorkflowError as error:
        if not wants_json:
            raise
        _print_json(error.problems, ())
        ctx.exit(WRONG)
    checked = check(graph, opened.registry, opened.files)
    if wants_json:
        _print_json(checked.problems, checked.warnings)
    else:
        titles = options.titles(graph)
        for warning in checked.warnings:
            warn(str(warning))
        for problem in checked.problems:
            report(problem, titles)
    if checked.problems:
        ctx.exit(WRONG)
    if not wants_json:
        click.echo(f"{workflow}: valid, {len(checked.graph.nodes)} nodes")


def _print_json(problems: "Iterable[NodeGraphError]", warnings: "Iterable[NodeGraphError]") -> None:
    wrong = [problem.as_dict() for problem in problems]
    remarks = [warning.as_dict() for warning in warnings]
    answer = {"valid": not wrong, "problems": wrong, "warnings": remarks}
    click.echo(as_json(answer))
