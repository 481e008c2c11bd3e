"""Downloads for `nodegraph models pull`: of a reference, or of all that a workflow lacks."""

from typing import TYPE_CHECKING, Any

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import EXIT_FAILED, report

if TYPE_CHECKING:
    from nodegraph.files.files import Files
    from nodegraph.files.sources import Origin


def pull_workflow(workflow: str, folders: dict[str, Any]) -> int:
    """Download the models that a workflow lacks, and return the exit code."""
    from nodegraph.cli.terminal.downloads import fetch_models

    workspace = options.open_workspace(**folders)
    graph = options.read_graph(workflow, workspace)
    paths, errors = fetch_models(graph, workspace.registry.catalog, workspace.files)
    for path in paths:
        click.echo(str(path))
    for error in errors:
        report(error)
    if not paths and not errors:
        click.echo("The workflow names no model that is not here.", err=True)
    return EXIT_FAILED if errors else 0


def pull(name: str, files: "Files") -> "Origin":
    """Download what a reference names, and check the hash that it may have.

    Raises:
        HubError: the hub does not provide it.
        WrongHashError: it has another hash.
    """
    from nodegraph.cli.terminal.download_view import open_download_view
    from nodegraph.errors import WrongHashError
    from nodegraph.files.references import SCHEME, read_name, read_reference
    from nodes.cli.listing import model_sources

    wanted = read_name(name)
    reference = wanted.hub or read_reference(f"{SCHEME}{wanted.plain}")
    with open_download_view() as view:
        origin = model_sources(files).pull(reference, view)
    found = files.identity(origin.path) if wanted.sha256 else ""
    if found != wanted.sha256:
        raise WrongHashError(str(reference), wanted.sha256, found, "its name")
    return origin
