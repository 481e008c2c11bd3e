"""`nodegraph models`: which model files there are, and what one of them holds."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nodegraph.cli import options
from nodegraph.cli.report import Reporting, as_json

if TYPE_CHECKING:
    from nodegraph.files import Files
    from nodes.weights.header import Header

_UNITS = ("B", "KB", "MB", "GB", "TB")
_FAMILY = ("family", "modelspec.architecture", "ss_base_model_version")
_LICENCE = ("modelspec.license", "license")
_SOURCE = ("modelspec.source", "source", "modelspec.author")
_MODELS = click.option(
    "--models-dir",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Holds checkpoints/, loras/, …; repeatable.",
)


class ReportingGroup(Reporting, click.Group):
    """A group whose errors are shown as panels."""

    command_class = Reporting


@click.group(cls=ReportingGroup)
def models() -> None:
    """Look at the model files there are."""


@models.command("list")
@_MODELS
@options.wants_json
@options.verbose
def list_models(wants_json: bool, **folders: Any) -> None:
    """List every model file: its folder, its name, its size."""
    rows = list(_listed(options.open_all(**folders).files))
    if wants_json:
        data = [{"folder": f, "name": n, "bytes": p.stat().st_size} for f, n, p in rows]
        click.echo(as_json(data))
        return
    if not rows:
        click.echo(
            "No model files. Put some in models/checkpoints, or name --models-dir.", err=True
        )
    first = max((len(folder) for folder, _, _ in rows), default=0)
    second = max((len(name) for _, name, _ in rows), default=0)
    for folder, name, path in rows:
        click.echo(f"{folder:{first}}  {name:{second}}  {_size(path):>9}")


@models.command("show")
@click.argument("name")
@_MODELS
@options.wants_json
@options.verbose
def show_model(name: str, wants_json: bool, **folders: Any) -> None:
    """Show what the model file NAME holds: NAME as it is listed, or FOLDER/NAME, or a path."""
    from nodes.weights.header import read_header

    files = options.open_all(**folders).files
    folder, path = _find(name, files)
    header = read_header(path)
    facts = {"file": str(path), "folder": folder, **_facts(header), "sha256": files.identity(path)}
    if wants_json:
        click.echo(as_json(facts))
        return
    shown = facts | {"size": _size(path), "parameters": f"{facts['parameters']:,}"}
    width = max(len(key) for key in shown)
    for key, value in shown.items():
        click.echo(f"{key:{width}}  {value if value not in (None, '') else '-'}")


def _listed(files: "Files") -> Iterator[tuple[str, str, Path]]:
    """Every file that a model folder lists: folder, name, path."""
    from nodegraph.folders import MODEL_FOLDERS

    for folder in MODEL_FOLDERS:
        for name in files.model_names(folder):
            path = files.model(folder, name)
            if path.is_file():
                yield folder, name, path


def _find(name: str, files: "Files") -> tuple[str | None, Path]:
    """The model file that a name means, and its folder.

    Raises:
        UnknownFileError: there is none; names the nearest.
    """
    from nodegraph.errors import UnknownFileError

    found = list(_listed(files))
    for folder, listed, path in found:
        if name in (listed, f"{folder}/{listed}"):
            return folder, path
    if Path(name).is_file():
        return None, Path(name)
    raise UnknownFileError(name, "any model folder", [listed for _, listed, _ in found])


def _facts(header: "Header") -> dict[str, Any]:
    """What the header and its metadata say."""
    dtypes: dict[str, int] = {}
    for tensor in header.tensors.values():
        dtypes[tensor.dtype] = dtypes.get(tensor.dtype, 0) + tensor.numel
    return {
        "family": _family(header),
        "size": header.path.stat().st_size,
        "tensors": len(header.tensors),
        "parameters": sum(dtypes.values()),
        "dtype": ", ".join(sorted(dtypes, key=lambda dtype: -dtypes[dtype])),
        "licence": _first(header, _LICENCE),
        "source": _first(header, _SOURCE),
    }


def _family(header: "Header") -> str:
    """The family whose files look like this one, or what the file says of itself."""
    from nodes.families.known import FAMILIES

    seen = (family.title for family in FAMILIES if family.recognises(header))
    return next(seen, _first(header, _FAMILY))


def _first(header: "Header", keys: Iterable[str]) -> str:
    return next((header.metadata[key] for key in keys if key in header.metadata), "")


def _size(path: Path) -> str:
    size = float(path.stat().st_size)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
