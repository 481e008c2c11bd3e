"""The fields of a form: inputs of a workflow, with their ranges and choices from the server."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from nodegraph.errors import short_repr
from nodegraph.graph.graph import Node
from nodegraph.graph.json_values import is_list
from server.form.errors import FieldError

Kind: TypeAlias = Literal["text", "line", "image", "choice", "flag", "integer", "number", "seed"]
SEEDS = ("seed", "noise_seed")
RANDOM = 2**32
"""Random seeds are smaller than this: short enough to be read aloud."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field of a form: an input of a node."""

    node: str
    input: str
    kind: Kind
    label: str = ""
    help: str = ""
    value: Any = None
    """The value in the workflow."""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: Sequence[str] = ()

    def read(self, given: object) -> object:
        """Return a user's value as the node takes it.

        Raises:
            FieldError: the value does not fit the field.
        """
        if self.kind in ("integer", "number", "seed"):
            return self._number(given)
        if given is None:
            raise FieldError(self.label, "nothing is chosen.")
        return given

    def _number(self, given: object) -> int | float:
        kind = float if self.kind == "number" else int
        try:
            return kind(given)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError):
            what = "a number" if kind is float else "a whole number"
            raise FieldError(self.label, f"{short_repr(given)} is not {what}.") from None


def field_of(node: Node, name: str, info: Mapping[str, Any]) -> Field | None:
    """Return a node's input as a field; None if a form has no kind of field for it.

    Args:
        node: a node of the workflow.
        name: the name of the input.
        info: the server's node types, as in `/object_info`.
    """
    declared = inputs_of(node.type_name, info).get(name)
    if declared is None:
        return None
    socket, options = declared
    kind = _kind(name, socket, options)
    if kind is None:
        return None
    return Field(
        node=node.id,
        input=name,
        kind=kind,
        help=str(options.get("tooltip", "")),
        value=node.inputs.get(name, options.get("default")),
        minimum=options.get("min"),
        maximum=options.get("max"),
        step=options.get("step"),
        choices=_choices(socket, options),
    )


def inputs_of(
    type_name: str, info: Mapping[str, Any]
) -> Mapping[str, tuple[object, Mapping[str, Any]]]:
    """Return a node type's inputs by name: the socket or a list of choices, and the options."""
    groups: Mapping[str, Mapping[str, Any]] = info[type_name]["input"] if type_name in info else {}
    declared = {**groups.get("required", {}), **groups.get("optional", {})}
    return {name: (one[0], one[1] if len(one) > 1 else {}) for name, one in declared.items()}


def names_of(fields: Iterable[Field], titles: Mapping[str, str]) -> list[str]:
    """Return unique labels: the title or id of the node is added to labels that are the same."""
    own = [field.label for field in fields]
    named = [
        f"{titles[field.node]}: {field.label}" if own.count(field.label) > 1 else field.label
        for field in fields
    ]
    return [
        f"{name} ({field.node})" if named.count(name) > 1 else name
        for name, field in zip(named, fields, strict=True)
    ]


def _choices(socket: object, options: Mapping[str, Any]) -> Sequence[str]:
    listed = socket if is_list(socket) else options.get("options", ())
    return [str(item) for item in listed]


def _kind(name: str, socket: object, options: Mapping[str, Any]) -> Kind | None:
    if is_list(socket) or socket == "COMBO":
        return "image" if options.get("image_upload") else "choice"
    if socket == "STRING":
        return "text" if options.get("multiline") else "line"
    if socket == "INT":
        return "seed" if name in SEEDS or options.get("control_after_generate") else "integer"
    plain: Mapping[object, Kind] = {"FLOAT": "number", "BOOLEAN": "flag"}
    return plain.get(socket)
