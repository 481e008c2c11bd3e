"""The events of a run: numbered, typed, not to be changed."""

import base64
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import ClassVar, Concatenate, ParamSpec, TypeVar, dataclass_transform

from nodegraph.graph.graph import NodeId
from nodegraph.graph.results import Ui

P = ParamSpec("P")
T = TypeVar("T")
_SCALARS = frozenset({str, int, float, bool, type(None)})


@dataclass_transform(frozen_default=True)
def _event(kind: type[T]) -> type[T]:
    """Make a class a dataclass that is frozen for type checkers only.

    There are two events for every node, and the check at run time triples the time to make one.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


@_event
class Event:
    """Base class: which run, the event's number in it from 1 on, and when (ms since 1970)."""

    name: ClassVar[str] = "event"

    run_id: str
    sequence: int
    time_ms: int


@_event
class RunStarted(Event):
    """The graph is valid and the run begins."""

    name = "run_started"
    targets: Sequence[NodeId]


@_event
class RunPlanned(Event):
    """The nodes that will run, in order; lazy inputs and expansions may add to them."""

    name = "run_planned"
    nodes: Sequence[NodeId]
    spared: Sequence[NodeId] = ()
    """Nodes that need not run: cached ones, and those that only cached ones would need."""


@_event
class NodeEvent(Event):
    """Something about one node.

    `shown_as` is the node of the submitted graph that stands for it: itself, unless it came
    out of an expansion.
    """

    node_id: NodeId
    type_name: str
    shown_as: NodeId


@_event
class NodeCached(NodeEvent):
    """A node's result was there already, or another run computed it; `ui` is what it shows."""

    name = "node_cached"
    ui: Ui | None = None


@_event
class NodeStarted(NodeEvent):
    """A node's function is about to be called."""

    name = "node_started"


@_event
class Progress(NodeEvent):
    """A node has done `value` of `total` steps."""

    name = "progress"
    value: int
    total: int


@_event
class Preview(NodeEvent):
    """An intermediate image, encoded as `mime`."""

    name = "preview"
    image: bytes
    mime: str


@_event
class ProgressText(NodeEvent):
    """An unfinished text, as far as it is there."""

    name = "progress_text"
    text: str


@_event
class Notice(NodeEvent):
    """Something to know that is no error."""

    name = "notice"
    message: str


@_event
class NodeFinished(NodeEvent):
    """A node's outputs are ready; `ui` is what it shows."""

    name = "node_finished"
    seconds: float
    ui: Ui | None = None


@_event
class RunFinished(Event):
    """Every target is done: so many nodes were executed, so many found in the cache."""

    name = "run_finished"
    executed: int
    cached: int


@_event
class RunFailed(Event):
    """A node failed; `error` is its JSON."""

    name = "run_failed"
    error: Mapping[str, object]


@_event
class RunCancelled(Event):
    """Somebody cancelled the run; results so far stay in the cache."""

    name = "run_cancelled"


Emit = Callable[[Event], None]


def as_dict(event: Event) -> dict[str, object]:
    """An event as JSON: `event` is its name, bytes are base64."""
    values = {name: _plain(getattr(event, name)) for name in _names(type(event))}
    return {"event": event.name} | values


@cache
def _names(kind: type[Event]) -> tuple[str, ...]:
    """Return the names of an event's fields, in order."""
    return tuple(field.name for field in fields(kind))


class Emitter:
    """Numbers a run's events and hands them to its consumer.

    A consumer that raises ends the run: the exception comes out of `Engine.run` as it is,
    with nothing further sent, and is never taken for a failure of the node that was running.
    """

    def __init__(self, run_id: str, consumer: Emit | None) -> None:
        self.run_id = run_id
        self.broken: Exception | None = None
        self._consumer = consumer
        self._sequence = 0
        self._lock = threading.RLock()

    def send(
        self,
        kind: Callable[Concatenate[str, int, int, P], Event],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> None:
        """Make the run's next event and hand it over."""
        if self._consumer is None:
            return
        with self._lock:
            if self.broken is not None:
                raise self.broken
            self._sequence += 1
            now = time.time_ns() // 1_000_000
            event = kind(self.run_id, self._sequence, now, *args, **kwargs)
            try:
                self._consumer(event)
            except Exception as error:  # raised as it is, here and to whoever sends next
                self.broken = error
                raise


def _plain(value: object) -> object:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Ui):
        return value.as_dict()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return list(value) if isinstance(value, tuple) else value  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
