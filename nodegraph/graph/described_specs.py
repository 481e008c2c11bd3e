"""Specs of another server's node types, from the entries of its `/object_info`."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from nodegraph.graph.json_values import is_list, is_object
from nodegraph.graph.sockets import ANY, AUTOGROW, DYNAMICCOMBO
from nodegraph.graph.spec import InputSpec, NodeSpec, OutputSpec

COMBO = "COMBO"
_STANDS_FOR_OTHERS = re.compile(r"COMFY_\w+_V3", re.ASCII)
_GROUPS = ("required", "optional")
_OWN_FIELDS = ("default", "min", "max", "lazy", "options")
"""Options of an input that are fields of its spec."""


def spec_of_entry(
    name: str, entry: Mapping[str, Any], module: str, twin: NodeSpec | None = None
) -> NodeSpec | None:
    """Return the spec of a node type that another server describes; None if it does not.

    Only inputs that a type of ours has, too, are checked for choices and ranges: a type may check
    values itself, and its description does not say so.

    Args:
        name: the type's name.
        entry: the server's description.
        module: the place that the spec names as its own.
        twin: our node type of the same name, if there is one.
    """
    groups, outputs = entry.get("input"), entry.get("output")
    if not is_object(groups) or not is_list(outputs):
        return None
    return NodeSpec(
        name=name,
        display_name=_text(entry.get("display_name")) or name,
        category=_text(entry.get("category")),
        description=_text(entry.get("description")),
        module=module,
        inputs=tuple(_inputs(groups, entry.get("input_order"), twin)),
        outputs=tuple(_outputs(outputs, entry)),
        open_inputs=ANY,
        output_node=entry.get("output_node") is True,
        deprecated=entry.get("deprecated") is True,
        experimental=entry.get("experimental") is True,
    )


def _inputs(
    groups: Mapping[str, object], orders: object, twin: NodeSpec | None
) -> Iterator[InputSpec]:
    for group in _GROUPS:
        inputs = groups.get(group)
        if not is_object(inputs):
            continue
        order = orders.get(group) if is_object(orders) else None
        named = [key for key in order if isinstance(key, str)] if is_list(order) else []
        for key in dict.fromkeys((*named, *inputs)):
            if key in inputs:
                same = twin.input(key) if twin else None
                yield _input(key, inputs[key], same, required=group == "required")


def _input(name: str, value: object, twin: InputSpec | None, *, required: bool) -> InputSpec:
    """Return the spec of an input, whose description is `[kind, options]`."""
    parts = value if is_list(value) else [value]
    kind: object = parts[0] if parts else ANY
    options = parts[1] if len(parts) > 1 and is_object(parts[1]) else {}
    listed = kind if is_list(kind) else options.get("options") if kind == COMBO else None
    choices = tuple(str(item) for item in listed) if is_list(listed) else None
    is_combo = choices is not None or kind in (COMBO, DYNAMICCOMBO)
    return InputSpec(
        name=name,
        socket=COMBO if is_combo else _socket(kind),
        required=required and kind != AUTOGROW,
        has_default="default" in options,
        default=options.get("default"),
        choices=choices,
        input_file=_is_upload(options) or (twin is not None and twin.input_file),
        file_folder="output" if options.get("image_folder") == "output" else "input",
        minimum=_number(options.get("min")),
        maximum=_number(options.get("max")),
        lazy=options.get("lazy") is True,
        unchecked_link=twin is None or twin.unchecked_link,
        unchecked=twin is None or twin.unchecked or (is_combo and choices is None),
        widget={key: item for key, item in options.items() if key not in _OWN_FIELDS},
    )


def _outputs(sockets: list[object], entry: Mapping[str, Any]) -> Iterator[OutputSpec]:
    names, lists = _list(entry.get("output_name")), _list(entry.get("output_is_list"))
    for place, found in enumerate(sockets):
        socket = COMBO if is_list(found) else _socket(found)
        name = names[place] if place < len(names) else None
        is_several = place < len(lists) and lists[place] is True
        yield OutputSpec(name=_text(name) or socket, socket=socket, is_list=is_several)


def _socket(kind: object) -> str:
    """Return a socket; any for a kind that stands for others, as rows and matching types do."""
    return kind if isinstance(kind, str) and not _STANDS_FOR_OTHERS.fullmatch(kind) else ANY


def _is_upload(options: Mapping[str, object]) -> bool:
    """Say if an input takes a file that users upload (`image_upload`, `video_upload`, …)."""
    return any(key.endswith("upload") and value is True for key, value in options.items())


def _list(value: object) -> list[object]:
    return value if is_list(value) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return cast("float", value) if is_number else None
