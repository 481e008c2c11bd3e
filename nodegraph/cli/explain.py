"""`nodegraph explain`: what a workflow would do, as text, as JSON, or as a drawing."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.missing_view import report_problems
from nodegraph.cli.terminal.report import EXIT_INVALID, CheckingCommand, as_json, warn
from nodegraph.runtime.choices import Prefer

if TYPE_CHECKING:
    from nodegraph.cli.explanation.values import Explanation

_FORMATS = (".svg", ".mmd", ".md")


def _check_format(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() not in _FORMATS:
        message = f"{path} has to end in one of {', '.join(_FORMATS)}, for that is what is written."
        raise click.BadParameter(message)
    return path


@click.command(cls=CheckingCommand)
@options.workflow
@click.option(
    "--draw",
    "drawing",
    metavar="FILE",
    type=options.HomePath(path_type=Path, dir_okay=False),
    callback=_check_format,
    help="Also draw the graph, as SVG (.svg) or Mermaid (.mmd, or .md with a fence around it).",
)
@click.option(
    "--comfyui",
    "servers",
    metavar="[NAME=]PLACE",
    multiple=True,
    help="Also say if it would run on this ComfyUI server, as serve --comfyui does: its address, or"
    " a file with the answer of its /object_info; repeatable.",
)
@click.option(
    "--prefer",
    type=click.Choice(get_args(Prefer)),
    help="Where it runs if both can; as the settings say if not set.",
)
@options.folders
@options.wants_json
@options.verbose
@click.pass_context
def explain(
    ctx: click.Context,
    workflow: str,
    drawing: Path | None,
    servers: tuple[str, ...],
    prefer: Prefer | None,
    wants_json: bool,
    **folders: Any,
) -> None:
    """Explain what a workflow would do, without running it.

    WORKFLOW is a JSON file in the editor's or the API's format, an image that carries one, or
    - for stdin. Prints the nodes in the order in which they run, with the sources of their
    inputs; the nodes that share an equal node's result; the critical path; and the files that
    inputs name. For a model it prints the size, family and dtypes of the file, and the kind of
    device that would compute it.

    The critical path is the chain of nodes with the highest cost. A node costs 1, and 1 more for
    each sampling step that its inputs ask for (steps, from start_at_step to end_at_step). Cost is
    not time: a step of a large model takes longer than one of a small one, and guidance, batches
    and samplers of higher order call the model several times a step.

    If the workflow is not valid, explains the part that can be read, and exits with 2.
    """
    from dataclasses import replace

    from nodegraph.cli.explanation.explain import explain as find_out
    from nodegraph.cli.explanation.kept_results import kept_results
    from nodegraph.cli.explanation.text import as_plain, as_text
    from nodegraph.cli.server_types import read_offers
    from nodegraph.validation.placement import place

    workspace = options.open_workspace(**folders)
    settings, native = workspace.settings, workspace.registry
    offers, others = read_offers(servers, native.catalog)
    graph = options.read_graph(workflow, workspace, others, offers)
    prefer = prefer or settings.server.prefer
    placed = place(graph, native, workspace.files, offers, prefer=prefer)
    keeps, catalog = settings.result_cache != 0, placed.registry.catalog
    found = find_out(placed.checked, catalog, workspace.files, keeps_results=keeps)
    results = kept_results(settings, found.device)
    found = replace(found, results=results, servers=placed.servers, why=placed.why)
    if drawing:
        options.write_text(drawing, _draw(drawing.suffix.lower(), workflow, found), "--draw")
    if wants_json:
        click.echo(as_json(as_plain(found)))
    else:
        titles = options.titles(graph)
        for warning in found.warnings:
            warn(str(warning))
        click.echo(as_text(workflow, found), nl=False)
        report_problems(found.problems, graph, workspace, titles, workflow)
    if found.problems:
        ctx.exit(EXIT_INVALID)


def _draw(suffix: str, workflow: str, found: "Explanation") -> str:
    from nodegraph.cli.explanation.mermaid import as_mermaid
    from nodegraph.cli.explanation.svg import as_svg

    draw: Callable[[str, Explanation], str] = as_svg if suffix == ".svg" else as_mermaid
    text = draw(Path(workflow).name, found)
    return f"```mermaid\n{text}```\n" if suffix == ".md" else text
