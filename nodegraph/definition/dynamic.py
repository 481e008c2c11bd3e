"""Read annotations of inputs that stand for several: rows that grow, and choices with inputs."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from inspect import Parameter
from typing import Any, TypeAlias, cast, get_args, get_type_hints

from nodegraph.definition.markers import Autogrow, DynamicCombo, Optional
from nodegraph.definition.signature import COMBO, first_mark, read_input, unwrap, widget_hints
from nodegraph.errors import NodeDefinitionError, short_repr
from nodegraph.graph.json_values import is_list
from nodegraph.graph.sockets import AUTOGROW
from nodegraph.graph.spec import Branch, InputSpec, Row

Builder: TypeAlias = Callable[[Mapping[str, Any]], object]
"""A function that makes the argument of a choice from the value that `gather` has for it."""


def read_parameter(node: str, name: str, annotation: Any, default: object) -> InputSpec:
    """One parameter, or one field of a choice, as an input spec.

    Raises:
        NodeDefinitionError: the annotation has no meaning.
    """
    bare, marks, optional = unwrap(annotation)
    row, combo = first_mark(marks, Autogrow), first_mark(marks, DynamicCombo)
    if row is None and combo is None:
        return read_input(node, name, annotation, default)
    required = not (optional or first_mark(marks, Optional))
    widget = widget_hints(marks)
    if row:
        spec = _read_row(node, name, bare, row)
        return InputSpec(name=name, socket=AUTOGROW, required=required, row=spec, widget=widget)
    branches = _read_branches(node, name, cast("DynamicCombo", combo))
    _check_default(node, name, cast("DynamicCombo", combo), default)
    keys = tuple(branch.key for branch in branches)
    return InputSpec(
        name=name,
        socket=COMBO,
        required=required,
        has_default=True,
        default=keys[0],
        choices=keys,
        branches=branches,
        widget=widget,
    )


def builder_of(name: str, annotation: Any) -> Builder | None:
    """Return what makes the argument of a choice; None for any other parameter."""
    _, marks, _ = unwrap(annotation)
    combo = first_mark(marks, DynamicCombo)
    if combo is None:
        return None
    inner: dict[str, dict[str, Builder]] = {}
    for key, kind in combo.options.items():
        hints = get_type_hints(kind, include_extras=True)
        found = {item.name: builder_of(item.name, hints[item.name]) for item in _fields(kind)}
        inner[key] = {each: builder for each, builder in found.items() if builder}
    return _Chosen(name, combo.options, inner)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """Makes an object of the class that was chosen."""

    name: str
    kinds: Mapping[str, type]
    inner: Mapping[str, Mapping[str, Builder]]
    """The builders of a class's own choices, by key and field."""

    def __call__(self, value: Mapping[str, Any]) -> object:
        chosen = value[self.name]
        key = str(chosen[0]) if is_list(chosen) else str(chosen)  # a list if the node takes lists
        build = self.inner[key]
        return self.kinds[key](
            **{
                name: build[name](each) if name in build else each
                for name, each in value.items()
                if name != self.name
            }
        )


def _read_row(node: str, name: str, bare: Any, row: Autogrow) -> Row:
    most = len(row.names) or row.most
    if not (row.prefix or row.names) or not 0 <= row.least <= most or most < 1:
        message = f"Node type {node!r}: {name!r} is {row}, which are no names to grow by."
        hint = "For example Autogrow('image', least=2, most=8), or Autogrow(names=('a', 'b'))."
        raise NodeDefinitionError(message, hint=hint)
    match get_args(bare):
        case [key, value] if key is str:
            item = read_parameter(node, row.prefix or name, value, Parameter.empty)
        case _:
            message = f"Node type {node!r}: {name!r} is annotated {bare!r}, which holds no row."
            raise NodeDefinitionError(message, hint="Use Annotated[dict[str, Image], Autogrow(…)].")
    if item.row or item.branches:
        message = f"Node type {node!r}: the row {name!r} holds rows or choices with inputs."
        raise NodeDefinitionError(message, hint="Put the row into the options of a choice.")
    return Row(item=item, prefix=row.prefix, names=row.names, least=row.least, most=most)


def _read_branches(node: str, name: str, combo: DynamicCombo) -> tuple[Branch, ...]:
    if not combo.options:
        message = f"Node type {node!r}: the choice {name!r} has no options."
        raise NodeDefinitionError(message, hint="For example DynamicCombo({'png': Png}).")
    return tuple(
        Branch(key=key, inputs=_read_fields(node, name, kind))
        for key, kind in combo.options.items()
    )


def _read_fields(node: str, name: str, kind: type) -> tuple[InputSpec, ...]:
    if not is_dataclass(kind):
        message = f"Node type {node!r}: the choice {name!r} has the option {kind!r}."
        raise NodeDefinitionError(message, hint="An option is a dataclass; its fields are inputs.")
    hints = get_type_hints(kind, include_extras=True)
    if name in hints:
        message = f"Node type {node!r}: an option of the choice {name!r} has a field of that name."
        raise NodeDefinitionError(message, hint="Call the field something else.")
    return tuple(
        read_parameter(node, item.name, hints[item.name], _default(item)) for item in _fields(kind)
    )


def _check_default(node: str, name: str, combo: DynamicCombo, default: object) -> None:
    """Refuse a default that is not what an untouched node has: the first option's own values."""
    if default is Parameter.empty:
        return
    kind = next(iter(combo.options.values()))
    same = type(default) is kind and all(
        getattr(default, item.name) == item.default for item in _fields(kind)
    )
    if not same:
        message = f"Node type {node!r}: the default of {name!r} is {short_repr(default)}."
        hint = f"It is the first option with its own defaults: {kind.__name__}()."
        raise NodeDefinitionError(message, hint=hint)


def _fields(kind: Any) -> "tuple[Field[Any], ...]":
    return fields(kind)


def _default(item: "Field[Any]") -> object:
    return Parameter.empty if item.default is MISSING else item.default
