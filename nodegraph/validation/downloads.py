"""Model files that a workflow names an address for and that are not here: found and downloaded."""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from nodegraph.errors import BadReferenceError, NodeGraphError, WrongHashError, short_repr
from nodegraph.files.files import Files
from nodegraph.files.folders import inside, relative
from nodegraph.files.references import (
    SCHEME,
    HubReference,
    in_folder,
    read_name,
    read_reference,
)
from nodegraph.files.sources import Watch
from nodegraph.graph.dynamic_inputs import inputs_for
from nodegraph.graph.graph import Graph
from nodegraph.graph.spec import NodeSpec
from nodegraph.validation.providers import ModelOrigin, providers_of

_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co")
"""The hosts that model files are downloaded from; all are the hub, which gives their hashes."""
_FILE = re.compile(r"/([^/]+)/([^/]+)/(?:resolve|blob|raw)/([^/]+)/(.+)")


class NoDownloadError(NodeGraphError):
    """A model file is at an address that nodegraph does not download from."""

    code = "no_download"

    def __init__(self, origin: ModelOrigin, reason: str, place: Path) -> None:
        super().__init__(
            f"{short_repr(origin.name)} is not downloaded from {origin.url}: {reason}.",
            hint=f"Download it yourself, and put it into {place}.",
        )


@dataclass(frozen=True, slots=True)
class Download:
    """A model file to download."""

    reference: HubReference
    place: Path | None = None
    """The file to make of it; None if it stays in the hub's cache, where its name finds it."""
    sha256: str = ""
    """The hash that its content must have; empty for any."""

    def __str__(self) -> str:
        """Return the name of the file, or its reference."""
        return self.place.name if self.place else str(self.reference)


def downloads_for(
    graph: Graph, catalog: Mapping[str, NodeSpec], files: Files
) -> Iterator[Download | NodeGraphError]:
    """Yield what to download so that a graph has its models, and why some can not be.

    Args:
        graph: the graph; models are listed by the editor's part, or named `hf://…` by nodes.
        catalog: the node types by name.
        files: the model folders.
    """
    yield from _references(graph, catalog, files)
    for origin in providers_of(graph.editor).models.values():
        folder = origin.folder
        if not folder or origin.url.startswith(SCHEME):
            continue
        try:
            if relative(origin.name).as_posix() not in files.model_names(str(relative(folder))):
                yield _from_address(origin, files.folders.of_model(folder)[0].absolute())
        except NodeGraphError as error:
            yield error


def fetch(download: Download, files: Files, watch: Watch) -> Path:
    """Download a file and put it into its place.

    Raises:
        HubError: the hub does not provide it.
        WrongHashError: it has another hash than the hub or the workflow says.
        OSError: it can not be written.
    """
    path = files.models.sources.fetch(download.reference, watch).path
    found = files.identity(path) if download.sha256 else ""
    if found != download.sha256:
        raise WrongHashError(str(download), download.sha256, found, "the workflow")
    if download.place is None:
        return path
    download.place.parent.mkdir(parents=True, exist_ok=True)
    try:
        download.place.symlink_to(path.resolve())
    except FileExistsError:
        return download.place
    except OSError:  # a file system without links
        part = download.place.with_name(f"{download.place.name}.part")
        shutil.copyfile(path, part)
        part.replace(download.place)
    return download.place


def _references(
    graph: Graph, catalog: Mapping[str, NodeSpec], files: Files
) -> Iterator[Download | NodeGraphError]:
    """Yield the models that nodes name by a reference and that are not downloaded."""
    seen: set[str] = set()
    for node in graph.nodes.values():
        spec = catalog.get(node.type_name)
        for item in inputs_for(spec.inputs, node.inputs) if spec else ():
            value = node.inputs.get(item.name)
            if item.model_folder is None or not isinstance(value, str) or value in seen:
                continue
            seen.add(value)
            try:
                name = read_name(value)
                if name.hub and files.models.origin(item.model_folder, value) is None:
                    yield Download(in_folder(item.model_folder, name.hub), None, name.sha256)
            except NodeGraphError as error:
                yield error


def _from_address(origin: ModelOrigin, folder: Path) -> Download | NodeGraphError:
    """Return the download of a file from its address on the hub, into a folder."""
    address = urlsplit(origin.url)
    if address.scheme != "https" or address.hostname not in _HOSTS:
        return NoDownloadError(origin, f"it is not on {_HOSTS[0]}", folder)
    found = _FILE.fullmatch(unquote(address.path))
    if found is None:
        return NoDownloadError(origin, "the address names no file of a repository", folder)
    owner, name, revision, path = found.groups()
    try:
        reference = read_reference(f"{SCHEME}{owner}/{name}@{revision}/{path}")
    except BadReferenceError as error:
        return error
    if not reference.names_file:
        return NoDownloadError(origin, "it is neither safetensors nor GGUF", folder)
    return Download(reference, inside(folder, origin.name), origin.sha256)
