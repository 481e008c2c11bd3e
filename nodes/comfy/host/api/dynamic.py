"""`comfy_api.latest.io`: inputs that depend on others, as INPUT_TYPES has them."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from nodegraph.graph.sockets import ANY, AUTOGROW, DYNAMICCOMBO, MATCHTYPE
from nodes.comfy.host.api import schema


class MatchType:
    """A type that is the same at several inputs and outputs."""

    io_type: ClassVar[str] = MATCHTYPE
    Type: ClassVar[Any] = Any

    class Template:
        """The name of the shared type, and the types that it may be."""

        def __init__(self, template_id: str, allowed_types: Any = None) -> None:
            self.template_id = template_id
            listed = allowed_types if isinstance(allowed_types, Iterable) else [allowed_types]
            self.sockets = ",".join(kind.io_type for kind in listed if kind) or ANY

        def as_dict(self) -> dict[str, str]:
            """Return it as in INPUT_TYPES."""
            return {"template_id": self.template_id, "allowed_types": self.sockets}

    class Input(schema.Input):
        """An input of the shared type."""

        def __init__(self, id: str, template: "MatchType.Template", **more: Any) -> None:
            super().__init__(id, **more)
            self.type_name = MATCHTYPE
            self.options["template"] = template.as_dict()

    class Output(schema.Output):
        """An output of the shared type."""

        def __init__(self, template: "MatchType.Template", **more: Any) -> None:
            super().__init__(**more)
            self.type_name = template.sockets
            self.template_id = template.template_id


class Autogrow:
    """A row of inputs that grows as they are used; the node gets a dict of those that are there."""

    io_type: ClassVar[str] = AUTOGROW
    Type: ClassVar[Any] = dict[str, Any]

    class TemplatePrefix:
        """Inputs of one kind, called `prefix0`, `prefix1` and so on."""

        def __init__(self, input: schema.Input, prefix: str, min: int = 1, max: int = 10) -> None:
            self._input = input
            self._keys = {"prefix": prefix, "min": min, "max": max}

        def as_dict(self) -> dict[str, Any]:
            """Return it as in INPUT_TYPES."""
            return {"input": group_inputs([self._input]), **self._keys}

    class TemplateNames:
        """Inputs of one kind that have names of their own."""

        def __init__(self, input: schema.Input, names: Sequence[str], min: int = 1) -> None:
            self._input = input
            self._keys = {"names": list(names), "min": min}

        def as_dict(self) -> dict[str, Any]:
            """Return it as in INPUT_TYPES."""
            return {"input": group_inputs([self._input]), **self._keys}

    class Input(schema.Input):
        """The row."""

        def __init__(self, id: str, template: Any, **more: Any) -> None:
            super().__init__(id, **more)
            self.type_name = AUTOGROW
            self.options["template"] = template.as_dict()


class DynamicCombo:
    """A choice that brings further inputs along; the node gets a dict of all of them."""

    io_type: ClassVar[str] = DYNAMICCOMBO
    Type: ClassVar[Any] = dict[str, Any]

    class Option:
        """A choice, and its inputs."""

        def __init__(self, key: str, inputs: Sequence[schema.Input]) -> None:
            self._key = key
            self._inputs = inputs

        def as_dict(self) -> dict[str, Any]:
            """Return it as in INPUT_TYPES."""
            return {"key": self._key, "inputs": group_inputs(self._inputs)}

    class Input(schema.Input):
        """The choice itself."""

        def __init__(self, id: str, options: "Sequence[DynamicCombo.Option]", **more: Any) -> None:
            super().__init__(id, **more)
            self.type_name = DYNAMICCOMBO
            self.options["options"] = [option.as_dict() for option in options]


class DynamicSlot:
    """An optional input that brings further inputs along; the node gets a dict of all of them."""

    io_type: ClassVar[str] = "COMFY_DYNAMICSLOT_V3"
    Type: ClassVar[Any] = dict[str, Any]

    class Input(schema.Input):
        """The input itself, which is always linked; without a link the node gets none of them.

        Here the further ones are inputs of their own, called `slot.input`, and always shown.
        """

        def __init__(self, slot: schema.Input, inputs: Sequence[schema.Input], **more: Any) -> None:
            super().__init__(slot.id, more.pop("display_name", None), optional=True, **more)
            self.options = {**slot.options, **self.options, "forceInput": True}
            self.type_name = slot.type_name
            self._inputs = list(inputs)

        def flatten(self) -> list[schema.Input]:
            """Return the slot and the further inputs."""
            return [self, *(self._further(item) for item in self._inputs)]

        def gather(self, values: dict[str, Any]) -> None:
            """Put the slot's value and those of the further inputs into a dict.

            Raises:
                TypeError: the slot has a value, and a further input that is required has none.
            """
            start = f"{self.id}."
            names = [name for name in values if name.startswith(start)]
            further = {name.removeprefix(start): values.pop(name) for name in names}
            if self.id not in values:
                return
            defaults = {i.id: i.options["default"] for i in self._inputs if "default" in i.options}
            found = {**defaults, **further}
            missing = [i.id for i in self._inputs if not i.optional and i.id not in found]
            if missing:
                message = f"the input {start + missing[0]!r} is needed where {self.id!r} is linked"
                raise TypeError(message)
            values[self.id] = {self.id: values[self.id], **found}

        def _further(self, item: schema.Input) -> schema.Input:
            made = schema.Input(f"{self.id}.{item.id}", optional=True)
            made.type_name, made.options = item.type_name, item.options
            return made


def group_inputs(inputs: Iterable[schema.Input]) -> dict[str, dict[str, Any]]:
    """Return inputs as INPUT_TYPES has them: required ones, and optional ones."""
    found = list(inputs)
    return {
        "required": {item.id: item.entry for item in found if not item.optional},
        "optional": {item.id: item.entry for item in found if item.optional},
    }
