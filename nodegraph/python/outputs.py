"""The outputs of a node that was placed in a graph, for the inputs of other nodes."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

Kind = TypeVar("Kind", covariant=True)


@dataclass(frozen=True, slots=True)
class Out(Generic[Kind]):
    """One output of a node that is in a graph; its kind is a socket type's name."""

    node_id: str
    index: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A node without outputs that is in a graph."""

    node_id: str


class Outs(tuple[Out[Any], ...]):
    """All outputs of one node, to be unpacked or counted."""

    node_id: str

    def __new__(cls, node_id: str, count: int) -> "Outs":
        """Make the `count` outputs of a node."""
        made = super().__new__(cls, (Out(node_id, index) for index in range(count)))
        made.node_id = node_id
        return made


Result: TypeAlias = Out[Any] | Outs | Placed
"""The result of a node's method: its output, its outputs, or a node without outputs."""


def node_ids(results: Iterable[Result | tuple[Out[object], ...]]) -> list[str]:
    """Return the ids of the nodes that results belong to, each once."""
    found: list[str] = []
    for result in results:
        if isinstance(result, Out | Placed | Outs):
            found.append(result.node_id)
        else:
            found += [out.node_id for out in result]
    return list(dict.fromkeys(found))
