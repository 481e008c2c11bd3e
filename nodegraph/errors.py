"""Every error a workflow author can cause: a stable code, where, what, and what would work.

The problems that validation finds in a graph are in `nodegraph.validation.problems`.
"""

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Self

LONGEST_SHOWN = 80
LONGEST_COMPARED = 200
NEAR = 0.72
"""The least likeness of a name that is suggested for another one, of 1 for the same."""
SHORT = 4
"""The length of names in which one letter counts more, and which abbreviate no other name."""
NEAR_IF_SHORT = 0.6
FILE_SUFFIXES = ("safetensors", "ckpt", "pt", "pth", "bin", "gguf", "sft", "json", "png")


class NodeGraphError(Exception):
    """Base class; `code` is part of the HTTP and JSON contract and never changes.

    `message` says what is wrong, `hint` what would work, `node_id` and `input_name` where,
    `details` the same as data (`received_value`, `min`, …).
    A node raises without `node_id`; the executor fills it in.
    """

    code: str = "nodegraph_error"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        node_id: str | None = None,
        input_name: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node_id = node_id
        self.input_name = input_name
        self.details: Mapping[str, object] = details or {}

    def __str__(self) -> str:
        where = f"Node {self.node_id!r}: " if self.node_id is not None else ""
        return f"{where}{self.message}{' ' + self.hint if self.hint else ''}"

    def at(self, node_id: str) -> Self:
        """The same error at another node, for a run that shares a failed computation."""
        twin = self.__class__.__new__(self.__class__, *self.args)
        twin.__dict__.update(self.__dict__)
        twin.node_id = node_id
        twin.__cause__ = self.__cause__
        return twin

    def as_dict(self) -> dict[str, object]:
        """The error as JSON: code, message, hint, node_id, input_name, details."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "node_id": self.node_id,
            "input_name": self.input_name,
            "details": dict(self.details),
        }


def nearest(given: str, known: Iterable[str]) -> str:
    """A hint that names the closest of `known`, or nothing if none is truly near.

    Case, folders and the ending of a file's name are not compared. A name that goes on where
    `given` ends (`euler_ancestral` after `euler_a`) is nearer than any other.
    """
    wanted = _core_of(given)
    if len(given) > LONGEST_COMPARED or not wanted:
        return ""
    others = {_core_of(name): name for name in known if name != given}
    short = len(wanted) <= SHORT
    longer = sorted((key for key in others if not short and key.startswith(wanted)), key=len)
    cutoff = NEAR_IF_SHORT if short else NEAR
    close = longer[:1] or get_close_matches(wanted, others, n=1, cutoff=cutoff)
    return f"Did you mean {others[close[0]]!r}?" if close else ""


def _core_of(name: str) -> str:
    """Return what `nearest` compares of a name."""
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    stem, dot, suffix = base.rpartition(".")
    return stem if dot and stem and suffix in FILE_SUFFIXES else base


def short_repr(value: object) -> str:
    """A value as messages show it: its `repr`, cut short."""
    if isinstance(value, str | bytes):
        text = repr(value[: LONGEST_SHOWN + 1])
        return text if len(value) <= LONGEST_SHOWN else f"{text[:-2]}…{text[-1]}"
    if isinstance(value, int) and value.bit_length() > LONGEST_COMPARED:
        return f"an integer of {value.bit_length()} bits"
    return reprlib.repr(value)


class NodeDefinitionError(NodeGraphError):
    """A pack declares a node in a way that has no meaning; the pack's author must mend it."""

    code = "bad_node_definition"


class UnknownNodeTypeError(NodeGraphError):
    """The workflow names a node type that no pack registers."""

    code = "unknown_node_type"

    def __init__(self, type_name: str, known: Iterable[str], *, node_id: str | None = None) -> None:
        super().__init__(
            f"no pack has a node type {short_repr(type_name)}.",
            hint=nearest(type_name, known) or "`nodegraph nodes` lists the types there are.",
            node_id=node_id,
            details={"class_type": type_name[:LONGEST_COMPARED]},
        )


class UnknownFileError(NodeGraphError):
    """A workflow names a file that is in none of the folders searched."""

    code = "unknown_file"

    def __init__(self, name: str, where: str, known: Iterable[str]) -> None:
        names = list(known)
        there = (
            f"There are: {', '.join(names[:5])}{', …' if len(names) > 5 else ''}." if names else ""
        )
        hint = nearest(name, names) or there or "There are no files yet."
        super().__init__(f"no file {short_repr(name)} in {where}.", hint=hint)


class UnsafePathError(NodeGraphError):
    """A name leads out of the folder it belongs to."""

    code = "unsafe_path"

    def __init__(self, name: str, reason: str) -> None:
        message = f"the name {short_repr(name)} is refused: {reason}."
        super().__init__(message, hint="Use a plain relative name such as 'folder/name'.")


class BadReferenceError(NodeGraphError):
    """A model file's name begins as a reference does, and goes on as none."""

    code = "bad_reference"

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{short_repr(name)} is no reference to a model: {reason}.",
            hint="References look like hf://owner/name@revision/file.safetensors, or any name"
            " followed by #sha256=<64 hex digits>.",
        )


class NotHereError(NodeGraphError):
    """A model file must be downloaded or converted first, and now is not the time."""

    code = "not_here"

    def __init__(self, name: str, what: str = "downloaded") -> None:
        super().__init__(
            f"{short_repr(name)} is not {what} yet.", hint="Running a workflow does that."
        )


class WrongHashError(NodeGraphError):
    """A file is not what its name, the lock file or the hub says it is."""

    code = "wrong_hash"

    def __init__(self, name: str, expected: str, found: str, said_by: str) -> None:
        super().__init__(
            f"{short_repr(name)} is not the file it should be: {said_by} says {expected},"
            f" it is {found}.",
            hint="It was changed or damaged, or the hash is another file's. Get it again, or"
            " correct the hash.",
            details={"expected": expected, "found": found},
        )


class NoSourcesError(NodeGraphError):
    """Nothing is installed that could fetch or convert model files."""

    code = "no_model_sources"

    def __init__(self) -> None:
        super().__init__(
            "nothing is installed that fetches models from a hub.",
            hint="Install nodegraph as a package, with its built-in nodes.",
        )


class OutputFolderError(NodeGraphError):
    """A folder that results go to can not be written."""

    code = "output_not_writable"

    def __init__(self, path: object, reason: str) -> None:
        hint = "Choose another one with --output-dir or NODEGRAPH_OUTPUT_DIR."
        super().__init__(f"cannot write in {path}: {reason}.", hint=hint)


class DiskFullError(NodeGraphError):
    """There is no room left for a result."""

    code = "disk_full"

    def __init__(self, path: object, reason: str) -> None:
        message = f"no room left for a result in {path}: {reason}."
        super().__init__(message, hint="Free some space, or choose another --output-dir.")


class ObjectStoreError(NodeGraphError):
    """A folder in an object store can not be read or written, though it was tried for a while."""

    code = "object_store"

    def __init__(self, place: str, reason: str, hint: str) -> None:
        super().__init__(f"{place} can not be used: {reason}.", hint=hint)


class NodeConflictError(NodeGraphError):
    """Two packs, or two functions of one, declare node types of one name."""

    code = "node_conflict"

    def __init__(self, type_name: str, first: str, second: str) -> None:
        message = f"both {first} and {second} declare a node type {type_name!r}."
        hint = "The first one's is used; rename the other."
        super().__init__(message, hint=hint)


class PackError(NodeGraphError):
    """A pack can not be loaded."""

    code = "broken_pack"


class InvalidPromptError(NodeGraphError):
    """The file is no workflow: bad JSON, or JSON of another shape."""

    code = "invalid_prompt"


class MissingClassTypeError(NodeGraphError):
    """A node does not say what it is."""

    code = "missing_class_type"

    def __init__(self, node_id: str) -> None:
        super().__init__(
            "the node has no class_type.",
            hint='Every node is {"class_type": …, "inputs": {…}}.',
            node_id=node_id,
        )


class EditorFormatError(NodeGraphError):
    """Something is wrong in a workflow in the editor's own save format."""

    code = "editor_format"

    def __init__(self, message: str, hint: str = "", *, node_id: str | None = None) -> None:
        super().__init__(message, hint=hint, node_id=node_id)


class MendedFile(NodeGraphError):  # noqa: N818 - a remark
    """A remark: something is amiss in a workflow file, and this is how it was read all the same."""

    code = "mended_file"


class InvalidWorkflowError(NodeGraphError):
    """A workflow cannot run; `problems` are all the reasons."""

    code = "prompt_outputs_failed_validation"

    def __init__(self, problems: Sequence[NodeGraphError]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems[:20])
        more = f"\n  … and {len(problems) - 20} more" if len(problems) > 20 else ""
        super().__init__(f"The workflow has {_count(len(problems), 'problem')}:\n{lines}{more}")

    def as_dict(self) -> dict[str, object]:
        """The error as JSON, with its problems."""
        return super().as_dict() | {"problems": [problem.as_dict() for problem in self.problems]}


class NodeExecutionError(NodeGraphError):
    """A node's function raised; the cause is chained."""

    code = "node_failed"

    def __init__(self, node_id: str, type_name: str, cause: BaseException) -> None:
        super().__init__(
            f"{type_name} failed: {type(cause).__name__}: {cause}",
            node_id=node_id,
            details={"class_type": type_name, "exception_type": type(cause).__qualname__},
        )


class CancellationError(NodeGraphError):
    """A run was cancelled, in this process or on a server."""

    code = "run_cancelled"


class RunCancelledError(CancellationError):
    """Somebody cancelled the run that this thread computes."""

    def __init__(self) -> None:
        super().__init__("the run was cancelled.")


class SettingsError(NodeGraphError):
    """A setting has no meaning: in `nodegraph.toml`, in the environment or as a flag."""

    code = "bad_settings"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
