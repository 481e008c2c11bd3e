"""Loops: Start Loop and End Loop, and the nodes that End Loop puts in place of itself.

The nodes between the two are the first iteration. End Loop expands to a copy of them for each
other one, in which the outputs of Start Loop are values, or links to the iteration before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple, TypeAlias

from pydantic import Field

from nodegraph.definition.context import Context
from nodegraph.definition.markers import (
    Autogrow,
    DynamicCombo,
    Lazy,
    Listed,
    Name,
    Optional,
    Widget,
)
from nodegraph.definition.node import node
from nodegraph.graph.graph import Link, Node, NodeId
from nodegraph.graph.json_values import MOST_NODES
from nodegraph.graph.results import Expansion
from nodegraph.graph.sockets import Socket
from nodes.builtin.logic.errors import LoopError
from nodes.builtin.logic.loop_bodies import END, START, Loop, Loops

_MOST = 10_000
"""Values that a loop can return."""
_ALL, _OUT = "#iterations", "#outputs"
"""Ids of nodes in an expansion, as nodes of a workflow have none."""
_OUTPUT, _NEXT = "output_value", "next_iteration_value"
_INDEX, _FIRST, _LAST, _ITEM, _CARRIED = range(5)
"""The outputs of Start Loop."""

Ints: TypeAlias = Annotated[list[int], Socket("INT")]
Bools: TypeAlias = Annotated[list[bool], Socket("BOOLEAN"), Widget(default=False)]
Anything: TypeAlias = Annotated[Sequence[object] | None, Socket("*"), Lazy()]
Terminations: TypeAlias = Annotated[
    dict[str, Anything], Autogrow("termination", least=0, most=50), Optional()
]
Results: TypeAlias = Annotated[list[object], Socket("*"), Listed(), Name("outputs")]


@dataclass(frozen=True, slots=True)
class Simple:
    """So many iterations."""

    num_iterations: Annotated[Ints, Field(ge=0), Widget(default=4)]

    def indices(self) -> Sequence[int]:
        """Return the index of each iteration."""
        return range(max(self.num_iterations[0], 0))


@dataclass(frozen=True, slots=True)
class For:
    """An iteration for each index, up to but not with the last."""

    start_iteration_index: Annotated[Ints, Widget(default=0)]
    max_iteration: Annotated[Ints, Widget(default=4)]
    step: Annotated[Ints, Field(ge=1), Widget(default=1)]

    def indices(self) -> Sequence[int]:
        """Return the index of each iteration."""
        if self.step[0] < 1:
            problem = f"the step is {self.step[0]}"
            raise LoopError(problem, "It is 1 or more.")
        return range(self.start_iteration_index[0], self.max_iteration[0], self.step[0])


@dataclass(frozen=True, slots=True)
class List:
    """An iteration for each value of a list."""

    list: Annotated[Sequence[object], Socket("*")]

    def indices(self) -> Sequence[int]:
        """Return the index of each iteration."""
        return range(len(self.list))


Mode: TypeAlias = Annotated[
    Simple | For | List, DynamicCombo({"simple": Simple, "For": For, "List": List})
]


class Iteration(NamedTuple):
    """The outputs of Start Loop, which differ between the iterations."""

    iteration_index: int
    is_first: bool
    is_last: bool
    list_item: Annotated[object, Name("list_item")]
    current_iteration_value: Annotated[
        Sequence[object], Socket("*"), Listed(), Name("current_iteration_value")
    ]


def _nothing(_inputs: Mapping[str, object]) -> list[str]:
    """Have nothing computed before the loop is laid out."""
    return []


@node(START, category="logic/loops", display_name="Start Loop", input_is_list=True)
def start_loop(
    parent_iteration: Annotated[Ints | None, Widget(forceInput=True)] = None,
    initial_iteration_value: Annotated[Sequence[object] | None, Socket("*")] = None,
    *,
    mode: Mode,
    cache_iterations: Bools,
) -> Iteration:
    """Begin a loop: what is linked from here to End Loop is computed once for each iteration.

    There are so many (`simple`), one for each index (`For`), or one for each value of a list
    (`List`). The first one gets `initial_iteration_value`, each other one what End Loop got as
    `next_iteration_value`. A loop inside another gets that one's index as `parent_iteration`.
    Results of iterations are kept for later runs in any case, whatever `cache_iterations` is.
    """
    del parent_iteration, cache_iterations
    indices = mode.indices()
    item = mode.list[0] if isinstance(mode, List) and mode.list else None
    first = indices[0] if indices else 0
    return Iteration(first, True, len(indices) <= 1, item, [*(initial_iteration_value or [None])])


@node(END, category="logic/loops", display_name="End Loop", input_is_list=True, needs=_nothing)
def end_loop(
    output_value: Anything = None,
    next_iteration_value: Anything = None,
    *,
    accumulate: Annotated[Bools, Optional()],
    terminations: Terminations,
    ctx: Context,
) -> Results | Expansion:
    """End a loop: return `output_value` of the last iteration, or with `accumulate` of each.

    `next_iteration_value` is what the next iteration begins with. Nodes that neither of them
    depends on are computed in each iteration if they are linked to `terminations`.
    """
    del output_value, next_iteration_value, accumulate, terminations  # their links are read instead
    loop = Loops(ctx.node).loop_of(ctx.node_id)
    given = {name: value for name, value in loop.start.inputs.items() if name.startswith("mode")}
    inputs = {**given, **loop.end.inputs, "end": loop.end.id}
    return Expansion({_ALL: Node(_ALL, "LoopIterations", inputs)}, (Link(_ALL, 0),))


@node(
    "LoopIterations",
    category="logic/loops",
    input_is_list=True,
    needs=_nothing,
    deprecated=True,
)
def loop_iterations(
    *,
    mode: Mode,
    end: Annotated[list[str], Socket("STRING")],
    output_value: Anything = None,
    next_iteration_value: Anything = None,
    accumulate: Bools,
    terminations: Terminations,
    ctx: Context,
) -> Results | Expansion:
    """Compute the iterations of a loop; End Loop puts it in place of itself, nobody else does."""
    del output_value, next_iteration_value, terminations
    loop = Loops(ctx.node).loop_of(end[0])
    indices = mode.indices()
    items = mode.list if isinstance(mode, List) else [None] * len(indices)
    if len(indices) > _MOST or len(indices) * len(loop.body) > MOST_NODES:
        problem = f"the loop has {len(indices):,} iterations of {len(loop.body):,} nodes"
        hint = f"At most {_MOST:,} iterations and {MOST_NODES:,} nodes in all work."
        raise LoopError(problem, hint)
    return _Unrolled(loop, indices, items).expansion(accumulates=accumulate[0])


@node("LoopOutputs", category="logic/loops", input_is_list=True, deprecated=True)
def loop_outputs(
    values: Annotated[
        dict[str, Annotated[Sequence[object], Socket("*")]],
        Autogrow("value", least=0, most=_MOST),
        Optional(),
    ],
    terminations: Annotated[
        dict[str, Annotated[Sequence[object], Socket("*")]],
        Autogrow("termination", least=0, most=_MOST),
        Optional(),
    ],
) -> Results:
    """Return the values of a loop once all of it is computed; a part of End Loop."""
    del terminations
    return [value for found in values.values() for value in found]


class _Unrolled:
    """The iterations of a loop as nodes: the first are those of the graph, the others copies."""

    def __init__(self, loop: Loop, indices: Sequence[int], items: Sequence[object]) -> None:
        self._loop = loop
        self._indices = indices
        self._items = items
        self._carried: list[object] = [Link(loop.start.id, _CARRIED)]
        """The values that the iterations begin with."""

    def expansion(self, *, accumulates: bool) -> Expansion:
        """Return all the nodes, and the values of the last iteration, or of each."""
        if not self._indices:
            return Expansion({}, ((),))
        nodes: dict[NodeId, Node] = {}
        count = len(self._indices)
        for k in range(1, count):
            self._carried.append(self._at(self._loop.end.inputs.get(_NEXT), k - 1))
            for node_id, each in self._loop.body.items():
                inputs = {name: self._at(value, k) for name, value in each.inputs.items()}
                nodes[_copy_id(node_id, k)] = replace(each, id=_copy_id(node_id, k), inputs=inputs)
        given = self._loop.end.inputs
        shown = range(count) if accumulates else [count - 1]
        found = [self._at(given[_OUTPUT], k) for k in shown if _OUTPUT in given]
        rows = (value for name, value in given.items() if name.startswith("terminations."))
        waited = [self._at(value, k) for value in rows for k in range(count)]
        if len(waited) > _MOST:
            problem = f"the loop has {len(waited):,} values to wait for"
            raise LoopError(problem, f"At most {_MOST:,} work.")
        inputs = {f"values.value{k}": value for k, value in enumerate(found)}
        inputs |= {f"terminations.termination{k}": value for k, value in enumerate(waited)}
        return Expansion({**nodes, _OUT: Node(_OUT, "LoopOutputs", inputs)}, (Link(_OUT, 0),))

    def _at(self, value: object, k: int) -> object:
        """Return an input's value as it is in iteration `k`, counted from 0."""
        if not isinstance(value, Link) or k == 0:
            return value
        if value.source in self._loop.body:
            return Link(_copy_id(value.source, k), value.output)
        if value.source != self._loop.start.id:
            return value
        own: Mapping[int, object] = {
            _INDEX: self._indices[k],
            _FIRST: False,
            _LAST: k == len(self._indices) - 1,
            _ITEM: self._items[k],
            _CARRIED: self._carried[k],
        }
        return own[value.output]


def _copy_id(node_id: NodeId, k: int) -> NodeId:
    return f"#{k}.{node_id}"
