"""Read a function's annotations into input and output specs."""

import types
from collections.abc import Iterable
from dataclasses import replace
from inspect import Parameter
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import annotated_types
from pydantic.fields import FieldInfo

from nodegraph.definition.markers import (
    Choices,
    InputFile,
    Lazy,
    Listed,
    ModelFile,
    Name,
    Numbered,
    Optional,
    Pairs,
    Round,
    Step,
    Widget,
)
from nodegraph.errors import NodeDefinitionError, short_repr
from nodegraph.graph.json_values import is_plain
from nodegraph.graph.results import Expansion, Ui
from nodegraph.graph.sockets import ANY, Socket
from nodegraph.graph.spec import InputSpec, OutputSpec

COMBO = "COMBO"
_PRIMITIVES: dict[Any, str] = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN"}
_FOLDER_HINTS: dict[str, dict[str, Any]] = {
    "input": {},
    "output": {
        "image_folder": "output",
        "remote": {
            "route": "/internal/files/output",
            "refresh_button": True,
            "control_after_refresh": "first",
        },
    },
}
"""Hints with which editors list the files of a folder; a server lists the input folder itself."""
_MISSING = object()
T = TypeVar("T")


def read_input(node: str, name: str, annotation: Any, default: object) -> InputSpec:
    """One parameter as an input spec.

    Raises:
        NodeDefinitionError: the annotation is no socket type.
    """
    bare, marks, optional = unwrap(annotation)
    choices = _choices(bare, marks)
    folder, upload = first_mark(marks, ModelFile), first_mark(marks, InputFile)
    pairs = first_mark(marks, Pairs)
    minimum, maximum = _bounds(marks)
    widget = widget_hints(marks)
    chosen = choices or folder or upload
    editor_default = widget.pop("default", _MISSING)
    given = editor_default if default is Parameter.empty else default
    if given is not _MISSING and not is_plain(given):
        message = (
            f"Node type {node!r}: the default of {name!r} is {short_repr(given)}, which is no JSON."
        )
        raise NodeDefinitionError(message, hint="Use a number, a text, True, False or None.")
    return InputSpec(
        name=name,
        socket=COMBO if chosen else socket_of(node, name, bare, marks),
        required=not (optional or first_mark(marks, Optional)),
        has_default=given is not _MISSING and not (given is None and optional),
        default=None if given is _MISSING else given,
        choices=choices,
        registered=_kind_of_names(marks),
        model_folder=folder.folder if folder else None,
        pairs_folder=pairs.folder if pairs else "",
        pairs=pairs.names if pairs else (),
        input_file=upload is not None,
        file_folder=upload.folder if upload else "input",
        suffixes=upload.suffixes if upload else (),
        minimum=minimum,
        maximum=maximum,
        lazy=first_mark(marks, Lazy) is not None,
        unchecked=_is_open(marks),
        template=_template(bare),
        widget=widget,
    )


def read_numbered(node: str, annotation: Any) -> list[InputSpec]:
    """Return the inputs that `**inputs` annotated `Numbered` stands for; none if it is not.

    Raises:
        NodeDefinitionError: the annotation is no socket type, or the numbers have no meaning.
    """
    _, marks, _ = unwrap(annotation)
    numbered = first_mark(marks, Numbered)
    if numbered is None:
        return []
    if not 0 <= numbered.least <= numbered.most or numbered.most < 1:
        message = f"Node type {node!r}: {numbered} counts from its least to its most."
        raise NodeDefinitionError(message, hint="For example Numbered('image', 1, 8).")
    names = [f"{numbered.prefix}{number}" for number in range(1, numbered.most + 1)]
    first = read_input(node, numbered.prefix, annotation, Parameter.empty)
    return [
        replace(first, name=name, required=number <= numbered.least)
        for number, name in enumerate(names, 1)
    ]


def read_outputs(node: str, annotation: Any) -> tuple[OutputSpec, ...]:
    """The return annotation as output specs: a NamedTuple gives one a field.

    `| Expansion` and `| Ui` beside the outputs say how else they may come about.
    """
    annotation = _without_detours(annotation)
    if annotation is None or annotation is type(None):
        return ()
    if hasattr(annotation, "_fields"):
        hints = get_type_hints(annotation, include_extras=True)
        return tuple(_output(node, key, hints[key]) for key in annotation._fields)
    bare, _, _ = unwrap(annotation)
    if getattr(bare, "__socket__", _MISSING) is None:
        return ()
    return (_output(node, None, annotation),)


def _without_detours(annotation: Any) -> Any:
    """A union without `Expansion` and `Ui`."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    members = get_args(annotation)
    rest = tuple(item for item in members if item not in (Expansion, Ui))
    return Union[rest] if rest else members[0]  # noqa: UP007 - built at run time


def socket_of(node: str, name: str, bare: Any, marks: Iterable[object]) -> str:
    """The socket name of a type: a marker's, a primitive's, the class's own, or a variable's."""
    mark = first_mark(marks, Socket)
    if mark:
        return mark.name
    if isinstance(bare, TypeVar):
        return _socket_of_variable(node, name, bare)
    if bare in _PRIMITIVES:
        return _PRIMITIVES[bare]
    if bare in (object, Any):
        return ANY
    own = getattr(bare, "__socket__", None)
    if not isinstance(own, str):
        message = f"Node type {node!r}: {name!r} is annotated {bare!r}, which is no socket type."
        raise NodeDefinitionError(message, hint="Use Annotated[..., Socket('NAME')].")
    return own


def _socket_of_variable(node: str, name: str, variable: TypeVar) -> str:
    """The sockets that a type variable may stand for: its constraints, or what it is bound to."""
    allowed = variable.__constraints__ or (variable.__bound__ or object,)
    unwrapped = (unwrap(each) for each in allowed)
    return ",".join(socket_of(node, name, bare, marks) for bare, marks, _ in unwrapped)


def _template(bare: Any) -> str:
    """The name of the template of a type variable, or of a list of them; empty for other types."""
    inner = next((each for each in get_args(bare) if isinstance(each, TypeVar)), bare)
    return inner.__name__ if isinstance(inner, TypeVar) else ""


def _output(node: str, field: str | None, annotation: Any) -> OutputSpec:
    bare, marks, _ = unwrap(annotation)
    template = _template(bare)
    bare = get_args(bare)[0] if template and not isinstance(bare, TypeVar) else bare
    socket = socket_of(node, field or "return", bare, marks)
    named = first_mark(marks, Name)
    default = socket if field is None or field.upper() == socket else field
    return OutputSpec(
        name=named.text if named else default,
        socket=socket,
        is_list=first_mark(marks, Listed) is not None,
        template=template,
    )


def unwrap(annotation: Any) -> tuple[Any, list[object], bool]:
    """Split an annotation into its bare type, its markers, and whether None is allowed."""
    marks: list[object] = []
    optional = False
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation, *more = get_args(annotation)
            marks.extend(more)
        elif origin in (Union, types.UnionType):
            rest = [item for item in get_args(annotation) if item is not type(None)]
            if len(rest) != 1:
                return annotation, marks, optional
            annotation, optional = rest[0], True
        else:
            return annotation, marks, optional


def _choices(bare: Any, marks: Iterable[object]) -> tuple[str, ...] | None:
    if get_origin(bare) is Literal:
        return tuple(str(value) for value in get_args(bare))
    listed = first_mark(marks, Choices)
    return listed.values if listed else None


def _is_open(marks: Iterable[object]) -> bool:
    listed = first_mark(marks, Choices)
    return listed is not None and not listed.closed


def _kind_of_names(marks: Iterable[object]) -> str:
    listed = first_mark(marks, Choices)
    return listed.registered if listed else ""


def _bounds(marks: Iterable[object]) -> tuple[float | None, float | None]:
    constraints = [c for m in marks if isinstance(m, FieldInfo) for c in m.metadata]
    low = first_mark(constraints, annotated_types.Ge)
    high = first_mark(constraints, annotated_types.Le)
    return cast("float | None", low and low.ge), cast("float | None", high and high.le)


def widget_hints(marks: Iterable[object]) -> dict[str, Any]:
    """Return the editor's hints that markers give."""
    hints: dict[str, Any] = {}
    for mark in marks:
        if isinstance(mark, Widget):
            given = {key: getattr(mark, key) for key in mark.__slots__}
            hints |= {key: value for key, value in given.items() if value is not None}
        elif isinstance(mark, Step):
            hints["step"] = mark.size
        elif isinstance(mark, Round):
            hints["round"] = mark.to
        elif isinstance(mark, InputFile) and mark.upload:
            hints |= {mark.upload: True, **_FOLDER_HINTS[mark.folder]}
    return hints


def first_mark(marks: Iterable[object], kind: type[T]) -> T | None:
    """Return the first marker of a kind, or None."""
    return next((mark for mark in marks if isinstance(mark, kind)), None)
