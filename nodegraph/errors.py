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


class UnknownFileError(NodeGraphError):
    """A workflow names a file that is in none of the folders searched."""

    code = "unknown_file"

    def __init__(self, name: str, where: str, known: Iterable[str]) -> None:
        names = list(known)
        there = f"There: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}." if names else ""
        hint = nearest(name, names) or there or "There are no files yet."
        super().__init__(f"No file {name!r} in {where}.", hint=hint)


class UnsafePathError(NodeGraphError):
    """A name leads out of the folder it belongs to."""

    code = "unsafe_path"

    def __init__(self, name: str, reason: str) -> None:
        message = f"The name {name[:200]!r} is refused: {reason}."
        super().__init__(message, hint="Use a plain relative name such as 'folder/name'.")


class OutputFolderError(NodeGraphError):
    """A folder that results go to can not be written."""

    code = "output_not_writable"

    def __init__(self, path: object, reason: str) -> None:
        hint = "Choose another one with --output-dir or NODEGRAPH_OUTPUT_DIR."
        super().__init__(f"Can not write in {path}: {reason}.", hint=hint)


class DiskFullError(NodeGraphError):
    """There is no room left for a result."""

    code = "disk_full"

    def __init__(self, path: object, reason: str) -> None:
        message = f"No room left for a result in {path}: {reason}."
        super().__init__(message, hint="Free some space, or choose another --output-dir.")


class UnknownNodeTypeError(NodeGraphError):
    """The workflow names a node type that no pack registers."""

    code = "unknown_node_type"

    def __init__(self, type_name: str, known: Iterable[str]) -> None:
        hint = nearest(type_name, known) or "`nodegraph nodes` lists the types there are."
        super().__init__(f"No pack has a node type {type_name!r}.", hint=hint)


class NodeConflictError(NodeGraphError):
    """Two packs, or two functions of one, declare node types of one name."""

    code = "node_conflict"

    def __init__(self, type_name: str, first: str, second: str) -> None:
        message = f"Both {first} and {second} declare a node type {type_name!r}."
        hint = "Uninstall one of the packs, or leave it out of `packs` in nodegraph.toml."
        super().__init__(message, hint=hint)


class PackError(NodeGraphError):
    """A pack can not be loaded."""

    code = "broken_pack"
