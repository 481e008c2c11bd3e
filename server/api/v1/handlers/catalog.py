"""`/v1/node-types` and `/v1/models`: the node types and model files for workflows."""

from aiohttp import web

from nodegraph.errors import nearest, short_repr
from nodegraph.files.files import Files
from nodegraph.files.folders import MODEL_FOLDERS
from nodegraph.graph.spec import InputSpec, NodeSpec, Row
from nodegraph.packs.object_info import choices_of
from server.api.v1.handlers.parsing import reply
from server.api.v1.schema.models import (
    InputModel,
    ModelFolders,
    ModelNames,
    NodeOutputModel,
    NodeTypeModel,
    NodeTypes,
    NodeTypeSummary,
    RowModel,
)
from server.errors import UnknownNameError
from server.web.services import services


async def list_node_types(request: web.Request) -> web.Response:
    """List all node types, in short."""
    parts = services(request)
    own = parts.registry.catalog
    further = parts.comfyui.further_entries(own)
    catalog = {**own, **parts.comfyui.further_specs(own)}
    summaries = [
        NodeTypeSummary(
            name=spec.name,
            display_name=spec.display_name,
            category=spec.category,
            output_node=spec.output_node,
            servers=further.get(spec.name, {}).get("comfyui", []),
        )
        for _, spec in sorted(catalog.items())
    ]
    return reply(NodeTypes(node_types=summaries))


async def get_node_type(request: web.Request) -> web.Response:
    """Get a node type: its inputs, with the current files to choose from, and its outputs."""
    parts = services(request)
    own = parts.registry.catalog
    catalog = {**own, **parts.comfyui.further_specs(own)}
    name = request.match_info["name"]
    spec = catalog.get(name)
    if spec is None:
        message = f"no pack has a node type {short_repr(name)}."
        raise UnknownNameError(message, nearest(name, catalog))
    model = await parts.ask_folder(_node_type, spec, parts.files)
    servers = parts.comfyui.further_entries(own).get(name, {}).get("comfyui", [])
    return reply(model.model_copy(update={"servers": servers}))


async def list_models(request: web.Request) -> web.Response:
    """List the model folders."""
    more = services(request).files.folders.more_models
    return reply(ModelFolders(folders=sorted({*MODEL_FOLDERS, *more})))


async def list_folder(request: web.Request) -> web.Response:
    """List the models of a folder."""
    parts = services(request)
    known = {*MODEL_FOLDERS, *parts.files.folders.more_models}
    folder = request.match_info["folder"]
    if folder not in known:
        message = f"there is no model folder {short_repr(folder)}."
        raise UnknownNameError(message, nearest(folder, known))
    names = await parts.ask_folder(parts.files.model_names, folder)
    return reply(ModelNames(folder=folder, names=names))


def _node_type(spec: NodeSpec, files: Files) -> NodeTypeModel:
    return NodeTypeModel(
        name=spec.name,
        display_name=spec.display_name,
        category=spec.category,
        output_node=spec.output_node,
        description=spec.description,
        module=spec.module,
        version=spec.version,
        inputs=[_input(item, files) for item in spec.inputs],
        outputs=[
            NodeOutputModel(name=item.name, type=item.socket, is_list=item.is_list)
            for item in spec.outputs
        ],
        deprecated=spec.deprecated,
        experimental=spec.experimental,
    )


def _input(item: InputSpec, files: Files) -> InputModel:
    choices = choices_of(item, files)
    return InputModel(
        name=item.name,
        type=item.socket,
        required=item.required,
        default=item.default,
        choices=None if choices is None else list(choices),
        minimum=item.minimum,
        maximum=item.maximum,
        branches={
            branch.key: [_input(inner, files) for inner in branch.inputs]
            for branch in item.branches
        }
        or None,
        row=_row(item.row, files) if item.row else None,
    )


def _row(row: Row, files: Files) -> RowModel:
    return RowModel(keys=list(row.keys), least=row.least, item=_input(row.item, files))
