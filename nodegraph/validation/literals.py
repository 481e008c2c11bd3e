"""Check one literal against its input's spec: type, range, and choice."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from nodegraph.errors import NodeGraphError, nearest, short_repr
from nodegraph.files.files import Files
from nodegraph.files.references import needs_reading, read_name
from nodegraph.graph.graph import NodeId
from nodegraph.graph.json_values import TYPE, WRAPPED, is_list, is_object, is_plain
from nodegraph.graph.sockets import ANY
from nodegraph.graph.spec import InputSpec
from nodegraph.validation.convert import CONVERTERS, REFUSED
from nodegraph.validation.problems import (
    BadLinkedInputError,
    ConvertedValue,
    InvalidInputTypeError,
    NotHereYet,
    ValueNotInListError,
    ValueTooBigError,
    ValueTooSmallError,
)

COMBO = "COMBO"
MOST_SUGGESTIONS = 100
_NAMED_BY = "content"
FIRST_FEW = 5


class ReadLiteral(NamedTuple):
    """A literal as the node will get it, or the problem with it; perhaps with a remark."""

    value: object
    problem: NodeGraphError | None = None
    remark: NodeGraphError | None = None


class SuggestionBudget:
    """Makes a limited number of suggestions: comparing names is slow, and graphs may be hostile."""

    def __init__(self) -> None:
        self._left = MOST_SUGGESTIONS

    def nearest(self, given: str, known: Iterable[str]) -> str:
        """Return a hint that names the closest of `known`; empty once the budget is spent."""
        self._left -= 1
        return nearest(given, known) if self._left >= 0 else ""


class Literals:
    """Reads literals, and remembers the files of each folder that choices come from."""

    def __init__(self, files: Files, suggestions: SuggestionBudget) -> None:
        self._files = files
        self._suggestions = suggestions
        self._names: dict[object, list[str]] = {}

    def read(self, node_id: NodeId, spec: InputSpec, value: object) -> ReadLiteral:
        """Convert a literal to the input's type; one that tells its own type is unwrapped."""
        if is_object(value) and value.keys() == {TYPE, WRAPPED}:
            value = value[WRAPPED]
        if spec.socket == COMBO:
            return ReadLiteral(value) if spec.unchecked else self._choice(node_id, spec, value)
        exact = CONVERTERS.get(spec.socket)
        if exact is None:
            return _other(node_id, spec, value)
        converted = exact[1](value)
        if converted is REFUSED:
            return ReadLiteral(None, _mismatch(node_id, spec, value))
        if type(value) is exact[0] or (spec.socket == "FLOAT" and isinstance(value, int)):
            return ReadLiteral(converted, _out_of_bounds(node_id, spec, converted))
        remark = ConvertedValue(
            node_id, spec.name, f"is {short_repr(value)}, read as {converted!r}."
        )
        return ReadLiteral(converted, _out_of_bounds(node_id, spec, converted), remark)

    def _choice(self, node_id: NodeId, spec: InputSpec, value: object) -> ReadLiteral:
        known = self._choices(spec)
        if isinstance(value, str) and (value in known or self._is_input(spec, value)):
            return ReadLiteral(value)
        if isinstance(value, str) and spec.model_folder and needs_reading(value):
            return self._reference(node_id, spec, value)
        named = _choice_in(value)
        if is_list(named) or is_object(named):
            return ReadLiteral(None, _mismatch(node_id, spec, value))
        twin = _twin(named, spec, known)
        if twin in known:
            remark = ConvertedValue(
                node_id, spec.name, f"is {short_repr(value)}, read as {twin!r}."
            )
            return ReadLiteral(twin, remark=remark)
        return ReadLiteral(None, self._not_listed(node_id, spec, named, known))

    def _reference(self, node_id: NodeId, spec: InputSpec, value: str) -> ReadLiteral:
        """Read a model on a hub or one with a hash; a remark says if it is not downloaded yet."""
        try:
            name = read_name(value)
            if name.hub is None:
                plain = self._choice(node_id, spec, name.plain)
                suffix = value[len(name.plain) :]
                return plain._replace(value=f"{plain.value}{suffix}")
            here = self._files.models.origin(spec.model_folder or "", value)
        except NodeGraphError as error:
            error.node_id, error.input_name = node_id, spec.name
            return ReadLiteral(None, error)
        return ReadLiteral(
            value, remark=None if here else NotHereYet(node_id, spec.name, str(name.hub))
        )

    def _choices(self, spec: InputSpec) -> Sequence[str]:
        listed = (spec.file_folder, spec.suffixes) if spec.input_file else None
        key = (spec.model_folder, *spec.pairs) if spec.model_folder else listed
        if key is None:
            return spec.choices or ()
        if key not in self._names:
            self._names[key] = (
                [
                    *self._files.model_names(spec.model_folder),
                    *self._files.models.pairs(spec.pairs_folder, spec.pairs),
                ]
                if spec.model_folder
                else self._files.input_names(spec.suffixes, spec.file_folder)
            )
        return [*(spec.choices or ()), *self._names[key]]

    def _is_input(self, spec: InputSpec, name: str) -> bool:
        """Say if an input file exists that is not listed: in a subfolder, or `name [output]`."""
        if not spec.input_file:
            return False
        try:
            return self._files.users.has_input(name)
        except (NodeGraphError, OSError, ValueError):
            return False

    def _not_listed(
        self, node_id: NodeId, spec: InputSpec, value: object, known: Sequence[str]
    ) -> NodeGraphError:
        place = f"models/{spec.model_folder}" if spec.model_folder else "the list"
        place = f"the {spec.file_folder} folder" if spec.input_file else place
        close = self._suggestions.nearest(value, known) if isinstance(value, str) else ""
        few = ", ".join(repr(name) for name in known[:FIRST_FEW])
        more = ", …" if len(known) > FIRST_FEW else ""
        there = f"There are: {few}{more}." if known else f"There is nothing in {place}."
        message = f"is {short_repr(value)}, which is not in {place}."
        hint = f"{close} {there}".strip()
        return ValueNotInListError(node_id, spec, value, message, hint)


def _choice_in(value: object) -> object:
    """Return the choice in an object that ComfyUI-Custom-Scripts makes of it; all else as it is."""
    content = value.get(_NAMED_BY) if is_object(value) else None
    return content if isinstance(content, str) else value


def _twin(value: object, spec: InputSpec, known: Sequence[str]) -> str:
    """Guess the choice that a value means, perhaps one that there is not.

    It is a number's digits, `True` or `False`, a Windows path with `/`, the only model file of
    that name in any folder, also without its suffix, or a sampler without the `sample_` of 2023.
    """
    if not isinstance(value, str):
        return "" if value is None else str(value)
    if not (spec.model_folder or spec.input_file):
        return value.removeprefix("sample_")
    path = value.replace("\\", "/")
    if path in known or not spec.model_folder:
        return path
    name = path.rpartition("/")[2]
    same = [other for other in known if other.rpartition("/")[2] == name]
    same = same or [other for other in known if PurePosixPath(other).stem == name]
    return same[0] if len(same) == 1 else path


def _other(node_id: NodeId, spec: InputSpec, value: object) -> ReadLiteral:
    """Read a literal for a socket without a converter: `*`, a union, or an editor's widget."""
    kinds = spec.socket.split(",")
    takes_any = ANY in kinds or spec.has_default or spec.unchecked
    takes_any = takes_any or any(kind in CONVERTERS for kind in kinds)
    if takes_any and is_plain(value):
        return ReadLiteral(value)
    if is_list(value):
        return ReadLiteral(None, BadLinkedInputError(node_id, spec.name, value))
    return ReadLiteral(None, _mismatch(node_id, spec, value))


def _mismatch(node_id: NodeId, spec: InputSpec, value: object) -> NodeGraphError:
    if is_list(value):
        return BadLinkedInputError(node_id, spec.name, value)
    literal = spec.socket in CONVERTERS or spec.socket in (ANY, COMBO)
    hint = "" if literal else f"Link it to an output that carries {spec.socket}."
    if literal and not (spec.minimum is None and spec.maximum is None):
        hint = _range(spec.minimum, spec.maximum)
    message = f"takes {spec.socket}, not {short_repr(value)}."
    return InvalidInputTypeError(node_id, spec.name, value, message, hint)


def _out_of_bounds(node_id: NodeId, spec: InputSpec, value: object) -> NodeGraphError | None:
    if spec.unchecked or not isinstance(value, int | float):
        return None
    low, high = spec.minimum, spec.maximum
    if low is not None and value < low:
        message, hint = f"is {value}, below its minimum of {low}.", _range(low, high)
        return ValueTooSmallError(node_id, spec.name, value, message, hint)
    if high is not None and value > high:
        message, hint = f"is {value}, above its maximum of {high}.", _range(low, high)
        return ValueTooBigError(node_id, spec.name, value, message, hint)
    return None


def _range(low: float | None, high: float | None) -> str:
    if low is not None and high is not None:
        return f"It may be {low} to {high}."
    return f"It may be {low} or more." if high is None else f"It may be {high} or less."
