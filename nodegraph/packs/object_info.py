"""A node type as ComfyUI's `/object_info` describes it to editors and clients."""

from collections.abc import Iterable, Mapping, Sequence

from nodegraph.files.files import Files
from nodegraph.graph.sockets import AUTOGROW, DYNAMICCOMBO, MATCHTYPE
from nodegraph.graph.spec import Branch, InputSpec, NodeSpec, Row


def object_info(spec: NodeSpec, files: Files) -> dict[str, object]:
    """Return the JSON entry of one node type, with the files that its inputs offer now."""
    groups = _groups(spec.inputs)
    inputs = _group_info(groups, files)
    order = {group: [item.name for item in items] for group, items in groups.items()}
    if spec.hidden:
        inputs["hidden"] = {name: name.upper() for name in spec.hidden}
    templates = [output.template or None for output in spec.outputs]
    matched = {"output_matchtypes": templates} if any(templates) else {}
    return {
        "input": inputs,
        "input_order": {group: names for group, names in order.items() if group in inputs}
        | ({"hidden": list(spec.hidden)} if spec.hidden else {}),
        "output": [MATCHTYPE if output.template else output.socket for output in spec.outputs],
        "output_is_list": [output.is_list for output in spec.outputs],
        "output_name": [output.name for output in spec.outputs],
        "name": spec.name,
        "display_name": spec.display_name,
        "description": spec.description,
        "python_module": spec.module,
        "category": spec.category,
        "output_node": spec.output_node,
        "deprecated": spec.deprecated,
        "experimental": spec.experimental,
        **matched,
    }


def input_info(spec: InputSpec, files: Files) -> list[object]:
    """Return one input: its socket, or its choices; and the editor's options for it."""
    options: dict[str, object] = {}
    if spec.has_default:
        options["default"] = spec.default
    if spec.minimum is not None:
        options["min"] = spec.minimum
    if spec.maximum is not None:
        options["max"] = spec.maximum
    if spec.lazy:
        options["lazy"] = True
    if spec.raw_link:
        options["rawLink"] = True
    kind, more = _kind(spec, files)
    if spec.branches:
        del options["default"]  # The editor takes the first option.
    return [kind, {**options, **more, **spec.widget}]


def _kind(spec: InputSpec, files: Files) -> tuple[object, dict[str, object]]:
    """Return an input's socket or its choices, and what the socket says besides."""
    if spec.row:
        return AUTOGROW, {"template": _row_template(spec.row, files)}
    if spec.branches:
        return DYNAMICCOMBO, {"options": [_option(branch, files) for branch in spec.branches]}
    if spec.template:
        template = {"template_id": spec.template, "allowed_types": spec.socket}
        return MATCHTYPE, {"template": template}
    choices = choices_of(spec, files)
    return spec.socket if choices is None else list(choices), {}


def _row_template(row: Row, files: Files) -> dict[str, object]:
    numbered = {"prefix": row.prefix, "min": row.least, "max": row.most}
    names = {"names": list(row.names), "min": row.least} if row.names else numbered
    return {"input": _group_info(_groups((row.item,)), files), **names}


def _option(branch: Branch, files: Files) -> dict[str, object]:
    return {"key": branch.key, "inputs": _group_info(_groups(branch.inputs), files)}


def _groups(inputs: Iterable[InputSpec]) -> dict[str, list[InputSpec]]:
    found: dict[str, list[InputSpec]] = {"required": [], "optional": []}
    for item in inputs:
        found["required" if item.required else "optional"].append(item)
    return found


def _group_info(groups: Mapping[str, list[InputSpec]], files: Files) -> dict[str, object]:
    return {
        group: {item.name: input_info(item, files) for item in items}
        for group, items in groups.items()
        if items or group == "required"
    }


def choices_of(spec: InputSpec, files: Files) -> Sequence[str] | None:
    """Return an input's choices: a fixed list, a folder's files, or both; None if neither."""
    if spec.model_folder is not None:
        pairs = files.models.pairs(spec.pairs_folder, spec.pairs)
        return [*(spec.choices or ()), *files.model_names(spec.model_folder), *pairs]
    if spec.input_file:
        return [*(spec.choices or ()), *files.input_names(spec.suffixes, spec.file_folder)]
    return spec.choices
