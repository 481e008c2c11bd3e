"""A node type as ComfyUI's `/object_info` describes it to editors and clients."""

from collections.abc import Sequence

from nodegraph.files.files import Files
from nodegraph.graph.spec import InputSpec, NodeSpec


def object_info(spec: NodeSpec, files: Files) -> dict[str, object]:
    """Return the JSON entry of one node type, with the files that its inputs offer now."""
    groups = {
        "required": [item for item in spec.inputs if item.required],
        "optional": [item for item in spec.inputs if not item.required],
    }
    inputs: dict[str, object] = {
        group: {item.name: input_info(item, files) for item in items}
        for group, items in groups.items()
        if items or group == "required"
    }
    order = {group: [item.name for item in items] for group, items in groups.items()}
    if spec.hidden:
        inputs["hidden"] = {name: name.upper() for name in spec.hidden}
    return {
        "input": inputs,
        "input_order": {group: names for group, names in order.items() if group in inputs}
        | ({"hidden": list(spec.hidden)} if spec.hidden else {}),
        "output": [output.socket for output in spec.outputs],
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
    choices = choices_of(spec, files)
    kind = spec.socket if choices is None else list(choices)
    return [kind, {**options, **spec.widget}]


def choices_of(spec: InputSpec, files: Files) -> Sequence[str] | None:
    """Return an input's choices: a fixed list, a folder's files, or both; None if neither."""
    if spec.model_folder is not None:
        pairs = files.models.pairs(spec.pairs_folder, spec.pairs)
        return [*(spec.choices or ()), *files.model_names(spec.model_folder), *pairs]
    if spec.input_file:
        return [*(spec.choices or ()), *files.input_names(spec.suffixes, spec.file_folder)]
    return spec.choices
