"""The special results of nodes: files to show, blocked outputs, and expansions."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, cast

from nodegraph.graph.graph import Link, Node

FolderType = Literal["output", "temp", "input"]
_MARKED = re.compile(r"(.*?) ?\[(input|output|temp)\]\s*")


def split_mark(name: str, kind: FolderType = "input") -> tuple[str, FolderType]:
    """Split `name [output]` into the file's name and the folder that the mark names.

    Args:
        name: as workflows have it.
        kind: the folder if there is no mark.
    """
    found = _MARKED.fullmatch(name)
    return (found[1], cast("FolderType", found[2])) if found else (name, kind)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file that a node wrote: its name, the folder below `type`'s root, and which root."""

    filename: str
    subfolder: str
    type: FolderType

    @property
    def name(self) -> str:
        """The name below `type`'s root: `subfolder/filename`."""
        return "/".join(part for part in (self.subfolder, self.filename) if part)

    def as_dict(self) -> dict[str, str]:
        """ComfyUI's JSON for it."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}


@dataclass(frozen=True, slots=True)
class Ui:
    """The display of an output node: artifacts by kind (`images`, `latents`), and other JSON.

    `outputs` are the node's ordinary outputs, for a node that both shows and returns.
    """

    __socket__: ClassVar = None

    artifacts: Mapping[str, Sequence[Artifact]] = field(
        default_factory=dict[str, Sequence[Artifact]]
    )
    values: Mapping[str, Sequence[object]] = field(default_factory=dict[str, Sequence[object]])
    outputs: tuple[object, ...] = ()

    def as_dict(self) -> dict[str, list[object]]:
        """ComfyUI's `ui` JSON."""
        shown: dict[str, list[object]] = {kind: list(items) for kind, items in self.values.items()}
        for kind, items in self.artifacts.items():
            shown[kind] = [item.as_dict() for item in items]
        return shown


@dataclass(frozen=True, slots=True)
class Blocked:
    """An output that is not there: nodes that read it are not called, and block theirs in turn."""

    message: str | None = None
    """The reason; None if nobody needs it."""


@dataclass(frozen=True, slots=True)
class Expansion:
    """Nodes that take the place of the node which returned them.

    `nodes` may link to each other by their own ids, which are local: the executor prefixes
    them with the expanding node's. `outputs` say where its outputs come from: a link to one
    of `nodes`, or a plain value.
    """

    nodes: Mapping[str, Node]
    outputs: tuple[Link | object, ...]
