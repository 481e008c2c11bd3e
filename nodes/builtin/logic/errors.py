"""Errors of plain values that a node can do nothing with."""

from collections.abc import Iterable

from nodegraph.errors import NodeGraphError, short_repr


class BadFormulaError(NodeGraphError):
    """A formula is not valid, or has no finite number as its result."""

    code = "bad_formula"

    def __init__(self, formula: str, problem: str, hint: str = "") -> None:
        super().__init__(f"the expression {short_repr(formula)} {problem}.", hint=hint)


class NotANumberError(NodeGraphError):
    """A value should be read as a number, and is none."""

    code = "not_a_number"

    def __init__(self, value: object) -> None:
        super().__init__(
            f"{short_repr(value)} is no number.",
            hint="A finite number such as 12 or -0.5 works, or true or false.",
        )


class BadTemplateError(NodeGraphError):
    """A text with placeholders can not be filled in."""

    code = "bad_template"

    def __init__(self, template: str, problem: str, given: Iterable[str]) -> None:
        names = ", ".join(f"{{{name}}}" for name in given) or "none"
        super().__init__(
            f"the text {short_repr(template)} {problem}.",
            hint=f"The placeholders with a value: {names}. A brace by itself is written twice.",
        )


class NoSuchItemError(NodeGraphError):
    """A list has no item with this number."""

    code = "no_such_item"

    def __init__(self, index: int, count: int) -> None:
        hint = f"The numbers are 0 to {count - 1}; -1 is the last." if count else "It is empty."
        super().__init__(f"the list has no item {index}.", hint=hint)


class NotJsonError(NodeGraphError):
    """A value has no JSON."""

    code = "not_json"

    def __init__(self, value: object) -> None:
        super().__init__(
            f"{short_repr(value)} can not be written as JSON.",
            hint="Texts, numbers, true and false work, and lists and dictionaries of them.",
        )


class BadColourError(NodeGraphError):
    """A text is no colour."""

    code = "bad_colour"

    def __init__(self, text: object) -> None:
        super().__init__(
            f"{short_repr(text)} is no colour.", hint="It is written #RRGGBB or #RRGGBBAA."
        )


class LoopError(NodeGraphError):
    """The nodes between Start Loop and End Loop are no loop, or one that is too long."""

    code = "bad_loop"

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}.", hint=hint)
