"""Model files for `nodegraph models`: listing, finding and describing them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

from nodegraph.errors import NotHereError, UnknownFileError
from nodegraph.files.files import Files
from nodegraph.files.folders import MODEL_FOLDERS
from nodegraph.files.references import HubReference, needs_reading, read_name
from nodegraph.files.sources import Origin
from nodes.models.families.registry import releases_of
from nodes.models.weights.header import read_header
from nodes.models.weights.sharded import is_folder
from nodes.preflight.model_summary import family_title, first_metadata, parameters_by_dtype
from nodes.preflight.sources import ModelSources

HUB = "hub"
"""The folder of models from a hub, in place of a model folder."""
_LICENCE = ("modelspec.license", "license")
_SOURCE = ("modelspec.source", "source", "modelspec.author")


class ModelFile(NamedTuple):
    """A model file, or a diffusers folder."""

    folder: str
    """Its model folder, `HUB`, or nothing if it was named by its path."""
    name: str
    path: Path
    sha256: str = ""
    """The sha256 that the reference to it expects; empty if it expects none."""
    origin: Origin | None = None

    @property
    def size(self) -> int:
        """The size in bytes, of a folder with everything in it."""
        return sum(file.stat().st_size for file in files_of(self.path))


def files_of(path: Path) -> list[Path]:
    """Return the file itself, or every file of a folder."""
    return [item for item in sorted(path.rglob("*")) if item.is_file()] if path.is_dir() else [path]


def model_sources(files: Files) -> ModelSources:
    """Return the sources that fetch models from the hub."""
    return cast("ModelSources", files.models.sources)


def all_models(files: Files, more: Iterable[str] = ()) -> Iterator[ModelFile]:
    """Yield every model file and diffusers folder, and every reference that is downloaded.

    Args:
        files: the folders.
        more: model folders of packs, besides the standard ones.
    """
    for folder in dict.fromkeys((*MODEL_FOLDERS, *sorted(more))):
        for name in files.model_names(folder):
            path = files.models.source(folder, name)
            if path.is_file() or is_folder(path):
                yield ModelFile(folder, name, path)
    for reference in model_sources(files).references():
        origin = model_sources(files).find_local(reference)
        if origin:
            yield _from_hub(reference, origin)


def find(name: str, files: Files) -> ModelFile:
    """Return the model file of a name: as listed, as `folder/name`, a reference, or a path.

    Raises:
        UnknownFileError: there is none; the message names the nearest.
        NotHereError: it is a reference that is not downloaded.
        BadReferenceError: it is a malformed reference.
    """
    if needs_reading(name):
        wanted = read_name(name)
        if wanted.hub is None:
            return find(wanted.plain, files)._replace(sha256=wanted.sha256)
        return find_reference(wanted.hub, files)._replace(sha256=wanted.sha256)
    known = list(all_models(files))
    for model in known:
        if name in (model.name, f"{model.folder}/{model.name}"):
            return model
    if Path(name).is_file() or is_folder(Path(name)):
        return ModelFile("", name, Path(name))
    raise UnknownFileError(name, "any model folder", [model.name for model in known])


def find_reference(reference: HubReference, files: Files) -> ModelFile:
    """Return the model file of a reference that is downloaded.

    Raises:
        NotHereError: it is not downloaded.
    """
    origin = model_sources(files).find_local(reference)
    if origin is None:
        error = NotHereError(str(reference))
        error.hint = f"Run: nodegraph models pull {reference}"
        raise error
    return _from_hub(reference, origin)


def describe(model: ModelFile, files: Files) -> dict[str, Any]:
    """Return what the files and their metadata say, as JSON."""
    weights = [path for path in files_of(model.path) if path.suffix in (".safetensors", ".sft")]
    headers = [read_header(path) for path in weights or [model.path]]
    dtypes = parameters_by_dtype(headers)
    origin = model.origin
    title = family_title(model.path, headers)
    return {
        "file": str(model.path),
        "folder": model.folder or None,
        "family": title,
        "size": model.size,
        "tensors": sum(len(header.tensors) for header in headers),
        "parameters": sum(dtypes.values()),
        "dtype": ", ".join(sorted(dtypes, key=lambda dtype: -dtypes[dtype])),
        "licence": (origin.licence if origin else "") or first_metadata(headers, _LICENCE),
        "releases": [str(release) for release in releases_of(title)],
        "source": str(origin.reference) if origin else first_metadata(headers, _SOURCE),
        "sha256": files.identity(model.path),
    }


def _from_hub(reference: HubReference, origin: Origin) -> ModelFile:
    return ModelFile(HUB, str(reference), origin.path, origin=origin)
