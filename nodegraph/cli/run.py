"""`nodegraph run`: run a workflow, show how far it is, print where its results are."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_args

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.missing_view import as_missing_data, report_problems
from nodegraph.cli.terminal.report import (
    EXIT_INVALID,
    ReportingCommand,
    as_data,
    as_json,
    parts_of,
    report,
    warn,
)
from nodegraph.runtime.choices import Attention

if TYPE_CHECKING:
    from nodegraph.cli.options import Workspace
    from nodegraph.errors import NodeGraphError
    from nodegraph.execution.engine import RunOptions
    from nodegraph.graph.graph import Graph
    from nodegraph.validation.validate import CheckedGraph

_LARGEST_SEED = 2**64 - 1


class RunCommand(ReportingCommand):
    """The `run` command: with `--json`, a run that could not begin is one line on stdout."""

    def refuse(self, error: "NodeGraphError", *, wants_json: bool) -> None:
        """Show why nothing was run."""
        if wants_json:
            _print_invalid(parts_of(error))
        else:
            super().refuse(error, wants_json=False)


@click.command(cls=RunCommand)
@options.workflow
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NODE.INPUT=VALUE",
    help="Set an input of the node with this id or title; repeatable.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, _LARGEST_SEED),
    help="Set all seeds, except those that come by a link.",
)
@click.option(
    "--allow-pickle",
    is_flag=True,
    default=None,
    help="Read the tensors of .ckpt, .pt, .pth and .bin files; nothing in them is run.",
)
@click.option(
    "--previews",
    "preview_method",
    type=click.Choice(("latent2rgb", "taesd")),
    help="With --json: also print previews of unfinished images, made by this method.",
)
@click.option(
    "--attention",
    type=click.Choice(get_args(Attention)),
    help="The kernels that compute attention; xformers and sage need their packages.",
)
@options.result_cache
@options.device_result_cache
@options.disk_result_cache
@options.weights_cache
@options.memory_budget
@options.memory_reserve
@click.option(
    "--locked", is_flag=True, help="Refuse to run if anything differs from WORKFLOW.lock.json."
)
@click.option(
    "--fetch-models",
    is_flag=True,
    help="First download the models that the workflow lists with an address on huggingface.co.",
)
@options.folders
@options.wants_json
@options.verbose
@click.pass_context
def run(
    ctx: click.Context,
    workflow: str,
    assignments: tuple[str, ...],
    seed: int | None,
    wants_json: bool,
    locked: bool,
    **folders: Any,
) -> None:
    """Run a workflow and print the paths of its results.

    WORKFLOW is a JSON file in the editor's or the API's format, an image that carries one, or
    - for stdin. Progress goes to stderr. The paths of the saved files go to stdout, or with --json
    one event a line; if the run can not begin, that is one "invalid" event with every problem.
    Exits with 0; 1 if the run fails; 2 if it can not begin; 130 after Ctrl-C.
    """
    from nodegraph.validation.validate import check

    fetches = folders.pop("fetch_models")
    workspace = options.open_workspace(**folders)
    graph = _apply_options(options.read_graph(workflow, workspace), assignments, seed, workspace)
    titles = options.titles(graph)
    if fetches:
        _fetch_models(graph, workspace)
    checked = check(graph, workspace.registry, workspace.files)
    if locked and not checked.problems:
        _check_lock(workflow, graph, workspace)
    if checked.problems and wants_json:
        missing = as_missing_data(checked.problems, graph, workspace)
        _print_invalid(checked.problems, checked.warnings, missing)
        ctx.exit(EXIT_INVALID)
    for warning in checked.warnings:
        warn(str(warning))
    report_problems(checked.problems, graph, workspace, titles, workflow)
    if checked.problems:
        ctx.exit(EXIT_INVALID)
    workspace.files.saver.check_writable()
    run_options: RunOptions = {
        "previews": wants_json and bool(folders["preview_method"]),
        "preview_method": workspace.settings.preview_method,
    }
    ctx.exit(_run(checked, workspace, titles, wants_json, run_options))


def _run(
    checked: "CheckedGraph",
    workspace: "Workspace",
    titles: dict[str, str],
    wants_json: bool,
    run_options: "RunOptions",
) -> int:
    """Run the graph, show its progress and its files, and return the exit code."""
    from nodegraph.cli.terminal.interruptible import run_checked
    from nodegraph.cli.terminal.run_progress import open_view
    from nodegraph.execution.engine import Engine

    engine = Engine.from_settings(workspace.settings, workspace.registry, workspace.files)
    with open_view(wants_json, titles, workspace.files) as view:
        error, code = run_checked(checked, engine, view, run_options)
    if error:
        report(error, titles)
    view.finish()
    return code


def _fetch_models(graph: "Graph", workspace: "Workspace") -> None:
    """Download the models that the workflow lacks; what fails is told, and then is missing."""
    from nodegraph.cli.terminal.downloads import fetch_models

    _, errors = fetch_models(graph, workspace.registry.catalog, workspace.files)
    for error in errors:
        report(error)


def _check_lock(workflow: str, graph: "Graph", workspace: "Workspace") -> None:
    """Raise if anything differs from the lock file."""
    from pathlib import Path

    from nodegraph.errors import InvalidWorkflowError
    from nodegraph.execution.lockfile import Lock, lock_path

    locked = Lock.read(lock_path(Path(workflow)))
    drift = locked.drift(Lock.from_graph(graph, workspace.registry, workspace.files))
    if drift:
        raise InvalidWorkflowError(drift)


def _print_invalid(
    problems: "Iterable[NodeGraphError]",
    warnings: "Iterable[NodeGraphError]" = (),
    missing: "Mapping[str, object] | None" = None,
) -> None:
    """One line, in place of the run's events."""
    found = as_data(problems, warnings) | {**(missing or {})}
    click.echo(as_json({"event": "invalid"} | found, indent=None))


def _apply_options(
    graph: "Graph", assignments: tuple[str, ...], seed: int | None, workspace: "Workspace"
) -> "Graph":
    from nodegraph.cli.assign import assign, has_seed, set_seeds

    catalog = workspace.registry.catalog
    if seed is not None:
        if not has_seed(graph, catalog):
            warn("--seed: no node of this workflow has a seed that is no link.")
        graph = set_seeds(graph, seed, catalog)
    return assign(graph, assignments, catalog)
