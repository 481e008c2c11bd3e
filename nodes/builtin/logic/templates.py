"""A node that fills values into a text with placeholders, as Python formats."""

import re
from collections.abc import Mapping, Sequence
from string import Formatter, ascii_lowercase
from typing import Annotated, Any

from nodegraph.definition.markers import Autogrow, Widget
from nodegraph.definition.node import node
from nodes.builtin.inputs import Text
from nodes.builtin.logic.errors import BadTemplateError
from nodes.builtin.text.strings import check_length

_TOO_WIDE = re.compile(r"[1-9]\d{3}")


@node("StringFormat", category="utils/string", display_name="Format Text")
def string_format(
    f_string: Annotated[Text, Widget(default="{a}")],
    values: Annotated[dict[str, object], Autogrow(names=tuple(ascii_lowercase), least=0)],
) -> str:
    """Fill the values a to z into a text, where it has {a} to {z}.

    A placeholder can format its value as in Python, such as {a:.3f} or {b:>8}. A brace by itself
    is written twice: {{ and }}.
    """
    return _Filler(f_string, values).fill()


class _Filler(Formatter):
    """Formats with the given names alone: no attributes, no items, no endless padding."""

    def __init__(self, template: str, values: Mapping[str, object]) -> None:
        self._template = template
        self._values = values
        self._length = 0

    def fill(self) -> str:
        """Return the text with its values.

        Raises:
            BadTemplateError: a placeholder is not valid, or has no value.
        """
        check_length(len(self._template))
        try:
            return self.vformat(self._template, (), self._values)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise BadTemplateError(
                self._template, f"is not valid: {error}", self._values
            ) from error

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        """Return the value of a placeholder."""
        del args
        if field_name not in kwargs:
            problem = f"has the placeholder {{{field_name}}}, which has no value"
            raise BadTemplateError(self._template, problem, self._values)
        return kwargs[field_name], field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        """Return a value as text."""
        if _TOO_WIDE.search(format_spec):
            problem = "pads to more than 999 characters"
            raise BadTemplateError(self._template, problem, self._values)
        text = format(value, format_spec)
        self._length += len(text)
        check_length(self._length)
        return text
