"""Download the models that a workflow lacks, with a bar."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from nodegraph.cli.terminal.download_view import open_download_view

if TYPE_CHECKING:
    from pathlib import Path

    from nodegraph.errors import NodeGraphError
    from nodegraph.files.files import Files
    from nodegraph.graph.graph import Graph
    from nodegraph.graph.spec import NodeSpec


def fetch_models(
    graph: "Graph", catalog: "Mapping[str, NodeSpec]", files: "Files"
) -> "tuple[list[Path], list[NodeGraphError]]":
    """Download the models that a graph names an address for and that are not here.

    Each is told on stderr. One that fails does not keep the others from being downloaded.

    Returns:
        The files, and why others were not downloaded.
    """
    from nodegraph.errors import NodeGraphError
    from nodegraph.validation.downloads import Download, downloads_for, fetch

    fetched: list[Path] = []
    errors: list[NodeGraphError] = []
    for wanted in list(downloads_for(graph, catalog, files)):
        if not isinstance(wanted, Download):
            errors.append(wanted)
            continue
        click.echo(f"{wanted}: {wanted.reference}", err=True)
        try:
            with open_download_view() as view:
                fetched.append(fetch(wanted, files, view))
        except NodeGraphError as error:
            errors.append(error)
    return fetched, errors
