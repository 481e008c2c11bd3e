"""`nodegraph models`: list, show, fetch and check model files."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import click

from nodegraph.cli import options
from nodegraph.cli.terminal.report import EXIT_FAILED, ReportingCommand, as_json, report, warn
from nodes.models.weights.formats.layer_formats import Written

if TYPE_CHECKING:
    from nodegraph.files.files import Files
    from nodes.cli.listing import ModelFile
    from nodes.cli.verify import Verdict

_UNITS = ("B", "KB", "MB", "GB", "TB")
_MODELS = click.option(
    "--models-dir",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A folder with checkpoints/, loras/, …; repeatable.",
)


class ReportingGroup(ReportingCommand, click.Group):
    """A group whose errors are shown as panels."""

    command_class = ReportingCommand


@click.group(cls=ReportingGroup)
def models() -> None:
    """List, show, fetch and check model files.

    References look like hf://owner/name@revision/file.safetensors. Without a file the right one is
    chosen; without a revision it is main.
    """


@models.command("list")
@_MODELS
@options.wants_json
@options.verbose
def list_models(wants_json: bool, **folders: Any) -> None:
    """List every model file: its folder, its name, its size."""
    from nodegraph.graph.dynamic_inputs import all_inputs
    from nodes.cli.listing import all_models

    workspace = options.open_workspace(**folders)
    inputs = (
        item for spec in workspace.registry.catalog.values() for item in all_inputs(spec.inputs)
    )
    rows = list(
        all_models(workspace.files, {item.model_folder for item in inputs if item.model_folder})
    )
    if wants_json:
        data = [{"folder": row.folder, "name": row.name, "bytes": row.size} for row in rows]
        click.echo(as_json(data))
        return
    if not rows:
        click.echo(
            "No model files. Put some in models/checkpoints, or name --models-dir.", err=True
        )
    first = max((len(row.folder) for row in rows), default=0)
    second = max((len(row.name) for row in rows), default=0)
    for row in rows:
        click.echo(f"{row.folder:{first}}  {row.name:{second}}  {_size(row.size):>9}")


@models.command("show")
@click.argument("name")
@_MODELS
@options.wants_json
@options.verbose
def show_model(name: str, wants_json: bool, **folders: Any) -> None:
    """Show the contents, the licence and the origin of the model file NAME.

    NAME is as listed, or FOLDER/NAME, a reference that was pulled, or a path.
    """
    from nodegraph.errors import WrongHashError
    from nodes.cli.listing import describe, find

    files = options.open_workspace(**folders).files
    model = find(name, files)
    found = describe(model, files)
    if model.sha256 and model.sha256 != found["sha256"]:
        raise WrongHashError(name.partition("#")[0], model.sha256, found["sha256"], "its name")
    if wants_json:
        click.echo(as_json(found))
        return
    shown = found | {"size": _size(found["size"]), "parameters": f"{found['parameters']:,}"}
    width = max(len(key) for key in shown)
    for key, value in shown.items():
        lines = cast("list[object]", value) if isinstance(value, list) else [value]
        for line in lines or [None]:
            click.echo(f"{key:{width}}  {line if line not in (None, '') else '-'}")


@models.command("convert")
@click.argument("name", metavar="SRC")
@click.argument("target", metavar="DEST", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--quantise",
    type=click.Choice(get_args(Written)),
    help="Write the linear layers in the blocks of large networks in this format of 8 or 4 bits.",
)
@click.option("--force", is_flag=True, help="Replace DEST if it is there.")
@_MODELS
@options.verbose
def convert_model(
    name: str, target: Path, *, quantise: Written | None, force: bool, **folders: Any
) -> None:
    """Write the model SRC as one file DEST in the layout of the original checkpoints.

    SRC is named as for `show`: a diffusers folder, a set of shards or a file. All of its parts are
    converted: the model, its text encoders and its VAE. Weights keep their precision, except with
    --quantise.
    """
    from nodes.cli.listing import find
    from nodes.models.export.checkpoint import convert

    if target.suffix != ".safetensors":
        message = f"{target} must end in .safetensors, the only format that is written."
        raise click.UsageError(message)
    if target.exists() and not force:
        message = f"{target} exists already; --force replaces it."
        raise click.UsageError(message)
    convert(find(name, options.open_workspace(**folders).files).path, target, quantise)
    click.echo(str(target))


@models.command("pull")
@click.argument("reference", metavar="[REF]", required=False)
@click.option(
    "--workflow",
    metavar="FILE",
    type=options.FILE_OR_DASH,
    help="Download what this workflow names and what is not here, into the models folders.",
)
@_MODELS
@options.verbose
@click.pass_context
def pull_model(
    ctx: click.Context, reference: str | None, workflow: str | None, **folders: Any
) -> None:
    """Download what REF names, or what a workflow lacks, and print the paths.

    A branch or tag is looked up anew, and means that commit until it is pulled again. A
    download that was interrupted is resumed. Exits with 1 if the hub does not provide it.

    With --workflow, downloads the models that the workflow lists with an address on
    huggingface.co, and those that its nodes name hf://…; each is checked against the hashes that
    the hub and the workflow give.
    """
    from nodegraph.errors import WrongHashError
    from nodes.cli.pulling import pull, pull_workflow
    from nodes.models.hub.errors import HubError

    if (reference is None) == (workflow is None):
        message = "give either REF or --workflow FILE."
        raise click.UsageError(message)
    if workflow is not None:
        ctx.exit(pull_workflow(workflow, folders))
    try:
        origin = pull(reference or "", options.open_workspace(**folders).files)
    except (HubError, WrongHashError) as error:
        report(error)
        ctx.exit(EXIT_FAILED)
    click.echo(f"{origin.reference}, licence: {origin.licence or 'not declared'}", err=True)
    click.echo(str(origin.path))


@models.command("verify")
@click.argument("names", metavar="[NAME|REF]...", nargs=-1)
@_MODELS
@options.wants_json
@options.verbose
@click.pass_context
def verify_models(
    ctx: click.Context, names: tuple[str, ...], wants_json: bool, **folders: Any
) -> None:
    """Check the hashes of model files: of all, or of those named.

    Reads each file and computes its sha256. This must be the one after #sha256= in the NAME, the
    one that the lock file and the hub give for a REF (the hub is asked only about files named here,
    and not in offline mode), and the one that the file had when it was first used. Exits with 0 if
    all match, 1 if not, 2 if a file is missing.
    """
    from nodes.cli.listing import all_models, find

    files = options.open_workspace(**folders).files
    chosen = [find(name, files) for name in names] or list(all_models(files))
    found = [verdict for model in chosen for verdict in _verdicts(model, files, ask=bool(names))]
    if wants_json:
        click.echo(as_json([verdict.as_dict() for verdict in found]))
    else:
        for verdict in found:
            _show_verdict(verdict)
    ctx.exit(EXIT_FAILED if any(verdict.wrong for verdict in found) else 0)


def _verdicts(model: "ModelFile", files: "Files", *, ask: bool) -> "Iterable[Verdict]":
    """Verify a model's files; without the hub's hashes if the hub does not answer."""
    from nodes.cli.verify import verify_files
    from nodes.models.hub.errors import HubOfflineError, HubUnreachableError

    try:
        return list(verify_files(model, files, ask=ask))
    except (HubOfflineError, HubUnreachableError) as error:
        warn(f"the hub is not asked: {error.message}")
        return list(verify_files(model, files, ask=False))


def _show_verdict(verdict: "Verdict") -> None:
    if not verdict.wrong:
        said = ", ".join(verdict.said) or "nobody says what it should be; recorded now"
        click.echo(f"ok     {verdict.name}  {verdict.sha256}  ({said})")
        return
    click.echo(f"EXIT_INVALID  {verdict.name}  {verdict.sha256}  {verdict.path}")
    if verdict.damage:
        click.echo(f"       {verdict.damage}")
    for who, expected in verdict.said.items():
        if expected != verdict.sha256:
            click.echo(f"       {who}: {expected}")


def _size(count: int) -> str:
    size = float(count)
    for unit in _UNITS:
        if size < 1000 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
