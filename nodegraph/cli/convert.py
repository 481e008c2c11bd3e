"""`nodegraph convert`: a workflow of any format, written in API format."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.missing_view import report_problems
from nodegraph.cli.terminal.report import EXIT_INVALID, ReportingCommand, as_json, warn

if TYPE_CHECKING:
    from nodegraph.errors import NodeGraphError
    from nodegraph.graph.graph import Graph
    from nodegraph.workflow.read import Shapes


@click.command(cls=ReportingCommand)
@options.workflow
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    metavar="FILE",
    type=options.FILE_OR_DASH,
    help="The file to write; - for stdout.",
)
@click.option(
    "--object-info",
    "places",
    metavar="PLACE",
    type=options.FILE_OR_DASH,
    multiple=True,
    help="Describes node types that are not here: a ComfyUI server's address, or a file with the"
    " answer of its /object_info; repeatable, the first that has a type counts.",
)
@options.verbose
@click.pass_context
def convert(ctx: click.Context, workflow: str, target: str, places: tuple[str, ...]) -> None:
    """Write a workflow in API format.

    WORKFLOW is a JSON file in the editor's or the API's format, a picture, sound or video (PNG,
    WebP, JPEG, FLAC, MP4, WebM) that carries one, or - for stdin. If it has node types that neither
    the installed packs nor --object-info describe, and whose values the file does not name, writes
    nothing and exits with 2.
    """
    from nodegraph.cli.server_types import read_object_info
    from nodegraph.packs.editor_shapes import shapes_of
    from nodegraph.workflow.read import read_workflow, to_prompt

    workspace = options.open_workspace()
    others: dict[str, Mapping[str, Any]] = {}
    for place in reversed(places):
        others |= read_object_info(place)
    shapes = shapes_of(workspace.registry.catalog, workspace.files, others)
    graph = read_workflow(options.workflow_source(workflow), shapes)
    options.warn_of_remarks(graph)
    problems = _unknown_types(graph, shapes, {**workspace.registry.catalog, **others})
    if problems:
        report_problems(problems, graph, workspace, options.titles(graph), workflow)
        ctx.exit(EXIT_INVALID)
    text = as_json(to_prompt(graph))
    if target == "-":
        click.echo(text)
        return
    options.write_text(Path(target), f"{text}\n", "-o")
    click.echo(f"{target}: {len(graph.nodes)} nodes")


def _unknown_types(
    graph: "Graph", shapes: "Shapes", known: Mapping[str, Any]
) -> "Sequence[NodeGraphError]":
    """Return the problems of node types that neither anything describes nor the file itself.

    Those that the file describes are warnings.
    """
    from nodegraph.errors import UnknownNodeTypeError
    from nodegraph.validation.providers import providers_of

    problems = [
        UnknownNodeTypeError(node.type_name, known, node_id=node.id)
        for node in graph.nodes.values()
        if node.id in graph.nameless
    ]
    refused = {graph.nodes[node_id].type_name for node_id in graph.nameless}
    names = {node.type_name for node in graph.nodes.values()} - known.keys() - refused
    for name in sorted(names):
        shape = shapes(name)
        if shape is None or shape.is_assumed:
            how = "by a description that ships" if shape else "by the names in the file"
            warn(f"no pack has the node type {name!r}; it is read {how}.")
    providers_of(graph.editor).explain(problems)
    return problems
