"""Every error a workflow author can cause: a stable code, where, what, and what would work."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class NodeGraphError(Exception):
    """Base class; `code` is part of the HTTP and JSON contract and never changes.

    `message` says what is wrong, `hint` what would work, `node_id` and `input_name` where.
    A node raises without `node_id`; the executor fills it in.
    """

    code: ClassVar[str] = "nodegraph_error"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        node_id: str | None = None,
        input_name: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node_id = node_id
        self.input_name = input_name

    def __str__(self) -> str:
        where = f"Node {self.node_id!r}: " if self.node_id is not None else ""
        return f"{where}{self.message}{' ' + self.hint if self.hint else ''}"

    def as_dict(self) -> dict[str, object]:
        """The error as JSON: code, message, hint, node_id, input_name."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "node_id": self.node_id,
            "input_name": self.input_name,
        }


def nearest(given: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`, or nothing."""
    close = get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else ""


class NodeDefinitionError(NodeGraphError):
    """A pack declares a node in a way that has no meaning; the pack's author must mend it."""

    code = "bad_node_definition"
