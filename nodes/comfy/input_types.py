"""Conversion of INPUT_TYPES to input specs."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from inspect import Parameter, signature
from typing import Any, cast

from nodegraph.graph.json_values import is_plain
from nodegraph.graph.sockets import ANY, AUTOGROW, DYNAMICCOMBO, MATCHTYPE
from nodegraph.graph.spec import Branch, InputSpec, Row
from nodes.comfy.host.comfy.comfy_types import IO
from nodes.comfy.host.folder_paths import FileList
from nodes.sampling.noise_schedule.schedules import SCHEDULES
from nodes.sampling.samplers.registry import NAMED_SAMPLERS

COMBO = "COMBO"
_OWN = ("default", "min", "max", "lazy", "options", "rawLink")
_UPLOADS = ("image_upload", "audio_upload", "video_upload")
HOST_KINDS = (
    "PROMPT",
    "DYNPROMPT",
    "EXTRA_PNGINFO",
    "UNIQUE_ID",
    "AUTH_TOKEN_COMFY_ORG",
    "API_KEY_COMFY_ORG",
)
"""The kinds of hidden inputs that the host fills; ComfyUI passes no others."""
_NOBODYS_NAME = "any name at all"
_NOBODYS_TYPE = "a type that nobody has"
_EXECUTORS_FUNCTION = "get_input_info"
"""The function of ComfyUI's that classes look for among their callers."""
_COMMON_TYPES = frozenset(IO)


@dataclass(frozen=True, slots=True)
class Entries:
    """The declared inputs of a node type."""

    inputs: tuple[InputSpec, ...]
    hidden: Mapping[str, str]
    """The kind of each hidden input that the host fills: `PROMPT`, `UNIQUE_ID`, …"""
    given: frozenset[str] = frozenset()
    """The hidden inputs of other kinds, which only the graph may give."""
    more: str = ""
    """The socket of inputs that are not declared, if it takes such."""
    choice_values: Mapping[str, Mapping[str, object]] = field(
        default_factory=dict[str, Mapping[str, object]]
    )
    """The values of the choices of inputs whose choices are not strings, by their text."""


def read_entries(kind: Any) -> Entries:
    """Read the inputs of a class.

    Raises:
        Exception: whatever the class raises.
    """
    declared = kind.INPUT_TYPES()
    exempt = _exempt(kind)
    any_link = _takes_input_types(kind)
    inputs: list[InputSpec] = []
    choice_values: dict[str, Mapping[str, object]] = {}
    for required in (True, False):
        group = declared.get("required" if required else "optional") or {}
        for name, entry in dict(group).items():
            io_type, options = _entry(entry)
            item = _input(str(name), io_type, options, required=required, exempt=exempt)
            inputs.append(replace(item, unchecked_link=any_link))
            choices = _choices(io_type, options)
            if choices and not _all_are(choices, str) and not _all_are(choices, dict):
                choice_values[str(name)] = {str(choice): choice for choice in choices}
    kinds = {
        str(name): _hidden_kind(io_type)
        for name, io_type in dict(declared.get("hidden") or {}).items()
    }
    hidden = {name: kind for name, kind in kinds.items() if kind in HOST_KINDS}
    given = frozenset(kinds.keys() - hidden.keys())
    more = _open_inputs(declared.get("optional")) or _open_inputs(_optional_in_a_run(kind))
    return Entries(tuple(inputs), hidden, given, more, choice_values)


def socket_of(io_type: object) -> str:
    """Return the socket of a type, which is a string or a list of choices."""
    if isinstance(io_type, str):
        lies = not (io_type != _NOBODYS_TYPE)  # noqa: SIM202 - classes that fit everything override this one
        return ANY if lies else str.__str__(io_type)
    return COMBO if _choices(io_type, {}) is not None else ANY


def _entry(entry: Any) -> tuple[Any, dict[str, Any]]:
    """Return an entry's type and options."""
    if isinstance(entry, str) or not isinstance(entry, tuple | list):
        return entry, {}
    parts = cast("tuple[Any, ...] | list[Any]", entry)
    if len(parts) == 0:
        return ANY, {}
    if isinstance(entry, list) and all(isinstance(part, str) for part in parts):
        return entry, {}  # the choices, without the tuple around them
    options = parts[1] if len(parts) > 1 and isinstance(parts[1], dict) else {}
    return parts[0], cast("dict[str, Any]", options)


def _input(
    name: str,
    io_type: Any,
    options: Mapping[str, Any],
    *,
    required: bool,
    exempt: Iterable[str] | None,
) -> InputSpec:
    dynamic = _dynamic(name, io_type, options, required=required)
    if dynamic:
        return dynamic
    choices = _choices(io_type, options)
    files = choices if isinstance(choices, FileList) else None
    uploaded = choices is not None and any(options.get(upload) for upload in _UPLOADS)
    rich = choices is not None and bool(choices) and _all_are(choices, dict)
    default = options.get("default")
    has_default = default is not None and is_plain(default)
    widget = {key: v for key, v in options.items() if key not in _OWN and is_plain(v)}
    if has_default and not required:  # as in ComfyUI, the function's own default stands in
        widget["default"] = default
    if rich and is_plain(choices):  # for the pack's own script in the editor
        widget["options"] = choices
    return InputSpec(
        name=name,
        socket=COMBO if choices is not None else socket_of(io_type),
        required=required,
        has_default=has_default and required,
        default=default if has_default and required else None,
        choices=None
        if choices is None or rich
        else _fixed_choices(choices, files, uploaded=uploaded),
        registered=_kind_of_names(choices or ()),
        model_folder=(files.folder or None) if files is not None and not rich else None,
        input_file=uploaded,
        minimum=_limit(options.get("min")),
        maximum=_limit(options.get("max")),
        lazy=bool(options.get("lazy")),
        raw_link=bool(options.get("rawLink")),
        unchecked=rich or exempt is None or name in exempt or _is_own(io_type, choices),
        widget={str(key): value for key, value in widget.items()},
    )


def _dynamic(
    name: str, io_type: Any, options: Mapping[str, Any], *, required: bool
) -> InputSpec | None:
    """Return an input that depends on others; None for any other kind."""
    widget = {key: options[key] for key in ("display_name", "tooltip") if options.get(key)}
    plain = InputSpec(name=name, socket=ANY, required=required, widget=widget)
    kind = str.__str__(io_type) if isinstance(io_type, str) else ""  # Some equal any text.
    if kind == MATCHTYPE:
        template = options["template"]
        allowed, lazy = template.get("allowed_types") or ANY, bool(options.get("lazy"))
        return replace(plain, socket=allowed, template=template["template_id"], lazy=lazy)
    if kind == AUTOGROW:
        return replace(plain, required=True, row=_row(options["template"]))
    if kind == DYNAMICCOMBO:
        branches = tuple(
            Branch(key=str(option["key"]), inputs=tuple(_group_inputs(option["inputs"])))
            for option in options["options"]
        )
        keys = tuple(branch.key for branch in branches)
        return replace(
            plain,
            socket=COMBO,
            choices=keys,
            branches=branches,
            has_default=True,
            default=keys[0],
        )
    return None


def _row(template: Mapping[str, Any]) -> Row:
    """Return a row of inputs that grows."""
    (item,) = _group_inputs(template["input"])
    names = tuple(str(name) for name in template.get("names") or ())
    most = len(names) or int(template.get("max", 100))
    least = min(int(template.get("min", 0)), most)
    return Row(
        item=item, prefix=str(template.get("prefix", "")), names=names, least=least, most=most
    )


def _group_inputs(groups: Mapping[str, Mapping[str, Any]]) -> Iterator[InputSpec]:
    """Yield the inputs of a row or of a choice."""
    for group in ("required", "optional"):
        for name, entry in (groups.get(group) or {}).items():
            io_type, options = _entry(entry)
            yield _input(name, io_type, options, required=group == "required", exempt=())


def _kind_of_names(choices: Iterable[object]) -> str:
    """Return the kind of names that packs may add to, if all of ours are among the choices."""
    names = {choice for choice in choices if isinstance(choice, str)}
    known = {"samplers": NAMED_SAMPLERS, "schedulers": SCHEDULES}
    return next((kind for kind, own in known.items() if names >= own.keys()), "")


def _is_own(io_type: Any, choices: list[object] | None) -> bool:
    """Return True for a type or a model folder of a pack's own: nobody else knows the values."""
    if choices is not None:
        return isinstance(choices, FileList) and not choices.folder
    return socket_of(io_type) not in _COMMON_TYPES


def _fixed_choices(
    choices: list[object], files: FileList | None, *, uploaded: bool
) -> tuple[str, ...]:
    """Return the choices that are not files."""
    if uploaded:
        return ()
    fixed = choices if files is None or not files.folder else files.before
    return tuple(str(choice) for choice in fixed)


def _choices(io_type: Any, options: Mapping[str, Any]) -> list[object] | None:
    if isinstance(io_type, str):
        listed = options.get("options") if io_type == COMBO else None
    else:
        listed = io_type if isinstance(io_type, Iterable) else None
    if listed is None or isinstance(listed, FileList):
        return listed
    return list(cast("Iterable[object]", listed))


def _limit(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def _all_are(choices: Iterable[object], kind: type) -> bool:
    return all(isinstance(choice, kind) for choice in choices)


def _hidden_kind(io_type: Any) -> str:
    return str(_entry(io_type)[0])


def _open_inputs(optional: Any) -> str:
    """Return the socket of undeclared inputs, for objects that claim to have every name."""
    if optional is None or type(optional) is dict or _NOBODYS_NAME not in optional:
        return ""
    return socket_of(_entry(optional[_NOBODYS_NAME])[0])


def _optional_in_a_run(kind: Any) -> Any:
    """Return the optional inputs that a class declares to ComfyUI's executor alone; None if none.

    Some classes look at their callers, and take every name where these are called as there.
    """
    code = getattr(kind.INPUT_TYPES, "__code__", None)
    if code is None or _EXECUTORS_FUNCTION not in code.co_consts:
        return None

    def get_input_info(deeper: bool) -> Any:
        return get_input_info(False) if deeper else kind.INPUT_TYPES()

    return get_input_info(True).get("optional")


def _exempt(kind: Any) -> tuple[str, ...] | None:
    """Return the inputs that a class validates itself; None means all."""
    check = getattr(kind, "VALIDATE_INPUTS", None)
    if check is None:
        return ()
    parameters = signature(check).parameters
    if any(item.kind is Parameter.VAR_KEYWORD for item in parameters.values()):
        return None
    return tuple(parameters)


def _takes_input_types(kind: Any) -> bool:
    """Return True if a class checks the types of its inputs itself."""
    check = getattr(kind, "VALIDATE_INPUTS", None)
    return check is not None and "input_types" in signature(check).parameters


def accepted_names(function: Any, names: Iterable[str]) -> Iterator[str]:
    """Return those of the names that a function takes."""
    parameters = signature(function).parameters
    anything = any(item.kind is Parameter.VAR_KEYWORD for item in parameters.values())
    return (name for name in names if anything or name in parameters)
