"""The options that commands share, and the objects they open."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import click

from nodegraph.cli.terminal.report import set_verbose, warn

if TYPE_CHECKING:
    from nodegraph.files.files import Files
    from nodegraph.graph.graph import Graph
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])


class HomePath(click.Path):
    """A path, in which `~` or `~name` at the start is that person's home folder."""

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> "str | bytes | os.PathLike[str]":
        """Return the path with the home folder in place of `~`; a home not known stays as it is."""
        expanded = os.path.expanduser(value)  # noqa: PTH111 - `Path` refuses an unknown `~name`
        return super().convert(expanded, param, ctx)


class FolderPlace(click.Path):
    """A folder: a path, or the address of one in an object store."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(
        self,
        value: "str | os.PathLike[str]",
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """Return the path, or the address."""
        from nodegraph.errors import SettingsError
        from nodegraph.files.objects.address import is_address, read_address

        if not is_address(value):
            return super().convert(value, param, ctx)
        try:
            return read_address(str(value))
        except SettingsError as error:
            self.fail(f"{error.message} {error.hint}", param, ctx)


FILE_OR_DASH = HomePath(allow_dash=True, readable=False, path_type=str)
"""The name of a file, or `-` for stdin or stdout; who reads it reports what is wrong."""

workflow = click.argument("workflow", metavar="WORKFLOW", type=FILE_OR_DASH)
wants_json = click.option("--json", "wants_json", is_flag=True, help="Print JSON instead of text.")
verbose = click.option(
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=set_verbose,
    help="Show the traceback of an error.",
)


class CacheLimit(click.ParamType[int | Literal["auto"]]):
    """A number of bytes, a size such as `4GiB`, or `auto`."""

    name = "SIZE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | Literal["auto"]:
        """Return the bytes, or `auto`."""
        from nodegraph.cache.limit import read_limit

        try:
            return read_limit(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class DeviceLimit(click.ParamType[int | str]):
    """A number of bytes, a size such as `4GiB`, a share such as `10%`, or `auto`."""

    name = "SIZE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        """Return the bytes, `auto`, or the share as it is written."""
        from nodegraph.cache.limit import read_device_limit

        try:
            return read_device_limit(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class DiskLimit(click.ParamType[int]):
    """A number of bytes, or a size such as `4GiB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the bytes."""
        from nodegraph.cache.limit import read_disk_limit

        try:
            return read_disk_limit(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


result_cache = click.option(
    "--result-cache",
    type=CacheLimit(),
    help="Memory for results that later runs can use: a size such as 4GiB, 0 or auto.",
)


device_result_cache = click.option(
    "--device-result-cache",
    type=DeviceLimit(),
    help="Memory of a GPU for the same: a size such as 2GiB, a share such as 10%, 0 or auto.",
)


disk_result_cache = click.option(
    "--disk-result-cache",
    type=DiskLimit(),
    help="Disk space for results that memory has no room for, and for encoded prompts; 0 if unset.",
)


weights_cache = click.option(
    "--weights-cache",
    type=CacheLimit(),
    help="Memory for weights that later runs can use: a size such as 24GiB, 0 or auto.",
)

memory_budget = click.option(
    "--memory-budget",
    type=DeviceLimit(),
    help="Memory of a GPU for weights, the rest is streamed: a size such as 10GiB, 80%, or auto.",
)

memory_reserve = click.option(
    "--memory-reserve",
    type=DeviceLimit(),
    help="Memory of a GPU to leave to other programs: a size such as 2GiB, 10%, or auto.",
)


def folders(function: F) -> F:
    """Add `--models-dir`, `--input-dir` and `--output-dir`."""
    path = FolderPlace()
    output = click.option(
        "--output-dir", type=path, help="The folder for results; also s3://… or az://…."
    )
    inputs = click.option("--input-dir", type=path, help="The folder with input images.")
    models = click.option(
        "--models-dir",
        type=path,
        multiple=True,
        help="A folder with checkpoints/, loras/, …; repeatable.",
    )
    return models(inputs(output(function)))


class Workspace(NamedTuple):
    """The registry, files and settings that a command works with."""

    registry: "Registry"
    files: "Files"
    settings: "Settings"


def open_workspace(**flags: object) -> Workspace:
    """Read the settings, find the packs and the folders; a broken pack is a warning.

    Raises:
        SettingsError: a setting has no meaning.
        PackError: a pack that the settings name is not there.
    """
    from nodegraph.packs.installed import problem_lines
    from nodegraph.packs.registry import Registry
    from nodegraph.settings.settings import Settings

    settings = Settings.read(flags)
    registry = Registry.from_settings(settings)
    for line in problem_lines(registry.problems):
        warn(line)
    return Workspace(registry, settings.files(registry.model_places), settings)


def read_graph(
    workflow: str,
    workspace: Workspace,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    offers: Mapping[str, "Registry"] | None = None,
) -> "Graph":
    """Return the workflow in a JSON file, in an image that carries one, or (`-`) on stdin.

    Required inputs that it lacks have their defaults, with a remark.

    Args:
        workflow: the file's name.
        workspace: has our node types.
        others: descriptions of node types that we lack.
        offers: other servers' node types, whose defaults count for what we lack.

    Raises:
        UnknownFileError: there is no such file.
        InvalidWorkflowError: it is no workflow.
    """
    from nodegraph.packs.editor_shapes import shapes_of
    from nodegraph.validation.defaults import with_defaults
    from nodegraph.workflow.read import read_workflow

    source, own = workflow_source(workflow), workspace.registry.catalog
    graph = read_workflow(source, shapes_of(own, workspace.files, others))
    theirs = {
        name: spec for types in (offers or {}).values() for name, spec in types.catalog.items()
    }
    return with_defaults(graph, {**theirs, **own} if theirs else own)


def workflow_source(workflow: str) -> Path | bytes:
    """Return the file of that name, or what is on stdin if it is `-`.

    Raises:
        UnknownFileError: there is no such file.
    """
    from nodegraph.errors import UnknownFileError

    if workflow == "-":
        return sys.stdin.buffer.read()
    path = Path(workflow)
    if not _readable(path):
        folder = path.parent
        inner = path if _is_folder(path) else folder
        beside = [str(item) for item in inner.glob("*.json")] if _is_folder(inner) else []
        error = UnknownFileError(workflow, f"the folder {folder.resolve()}", sorted(beside))
        if _is_folder(path):
            error.message = f"{workflow!r} is a folder, no workflow file."
            error.hint = error.hint if beside else "There is no .json file in it."
        raise error
    return path


def write_text(path: Path, text: str, option: str, *, make_folders: bool = False) -> None:
    """Write a command's result to a file.

    Args:
        path: the file.
        text: its content.
        option: the option that names the file, or would: for the error.
        make_folders: if True, makes the folders that the file is to be in.

    Raises:
        OutputFolderError: it can not be written there.
    """
    from nodegraph.errors import OutputFolderError

    try:
        if make_folders:
            path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        refusal = OutputFolderError(path.parent, error.strerror or str(error))
        refusal.hint = f"Choose another file with {option}."
        raise refusal from error


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _readable(path: Path) -> bool:
    """Say if a path can be read: a file or a pipe, not a name that is too long."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:
        return False


def warn_of_remarks(graph: "Graph") -> None:
    """Print what was amiss with the file of a graph, for a command that does not check it."""
    for remark in graph.remarks:
        warn(str(remark))


def titles(graph: "Graph") -> dict[str, str]:
    """Return the names of a graph's nodes for people: their titles, or else their types."""
    return {node.id: node.title or node.type_name for node in graph.nodes.values()}
