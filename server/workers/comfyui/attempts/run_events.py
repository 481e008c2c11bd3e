"""The events of a run, made from the messages of the ComfyUI server that computes it."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from nodegraph.execution.events import (
    Emitter,
    Event,
    NodeCached,
    NodeFinished,
    NodeStarted,
    Preview,
    Progress,
    RunPlanned,
    RunStarted,
    as_dict,
)
from nodegraph.graph.graph import Graph, NodeId
from nodegraph.graph.json_values import is_list, is_object, is_plain
from nodegraph.graph.results import Ui
from server.workers.comfyui.messages import ComfyMessage
from server.workers.worker import PACK_MESSAGE, Report


class RunEvents:
    """Makes our events of one attempt at a run; `take` returns those that are new.

    The server tells when a node begins, and when one has an output to show. So a node has ended
    when the next one begins, or the run ends.

    Args:
        run: the run's id.
        graph: the nodes that run.
        targets: the nodes whose results are wanted.
    """

    def __init__(self, run: str, graph: Graph, targets: Sequence[NodeId]) -> None:
        self._graph = graph
        self._targets = targets
        self._emitter = Emitter(run, self._add)
        self._reports: list[Report] = []
        self._reset()

    def _reset(self) -> None:
        self.has_begun = False
        """True once the server computes it."""
        self._current: NodeId | None = None
        self._since = 0.0
        self._progressed: tuple[NodeId | None, int, int] = (None, 0, 0)
        """The node, value and total that were told last."""
        self._executed: set[NodeId] = set()
        self._cached: dict[NodeId, None] = {}
        self._announced = False
        self.shown: set[NodeId] = set()
        """The nodes whose outputs were told."""

    @property
    def cached_count(self) -> int:
        """The number of nodes whose results the server had."""
        return len(self._cached)

    def take(self) -> list[Report]:
        """Return the reports since the last call."""
        taken, self._reports = self._reports, []
        return taken

    def restart(self) -> None:
        """Forget what was told: the server begins the prompt, perhaps once more."""
        if self._announced:
            self._reset()
        self.begin()

    def begin(self) -> None:
        """Tell that the run begins, unless that was told."""
        if not self.has_begun:
            self.has_begun = True
            self._emitter.send(RunStarted, self._targets)

    def plan(self, cached: object) -> None:
        """Tell which nodes run, and which need not because the server has their results."""
        self.begin()
        if self._announced:
            return
        self._announced = True
        names = [str(name) for name in cached] if is_list(cached) else []
        self._cached = dict.fromkeys(name for name in names if name in self._graph.nodes)
        nodes = [name for name in self._graph.nodes if name not in self._cached]
        self._emitter.send(RunPlanned, nodes, [*self._cached])

    def start(self, node: NodeId, shown_as: NodeId = "") -> None:
        """Tell that a node begins, and that the one before it has ended."""
        if node == self._current:
            return
        self.plan([])
        self.end_node()
        self._current, self._since = node, time.monotonic()
        self._executed.add(node)
        self._emitter.send(NodeStarted, *self._about(node, shown_as))

    def show(
        self, node: NodeId, output: Mapping[str, Sequence[object]], shown_as: str = ""
    ) -> None:
        """Tell a node's output."""
        self.plan([])
        self.shown.add(node)
        about, ui = self._about(node, shown_as), Ui(values=output)
        if node == self._current:
            self._current = None
            self._emitter.send(NodeFinished, *about, time.monotonic() - self._since, ui)
        elif node in self._executed:
            self._emitter.send(NodeFinished, *about, 0.0, ui)
        else:
            self._emitter.send(NodeCached, *about, ui)

    def end_node(self) -> None:
        """Tell that the current node has ended, if there is one."""
        node, self._current = self._current, None
        if node is not None:
            seconds = time.monotonic() - self._since
            self._emitter.send(NodeFinished, *self._about(node), seconds)

    def progress(self, message: ComfyMessage) -> None:
        """Tell how far a node is."""
        self._progress(message.text("node") or self._current, message.data)

    def progress_of_all(self, message: ComfyMessage) -> None:
        """Tell how far the nodes are that run now, unless `progress` has told it already."""
        nodes = message.data.get("nodes")
        for node, about in nodes.items() if is_object(nodes) else ():
            if is_object(about) and about.get("state") == "running":
                self._progress(node, about)

    def _progress(self, node: NodeId | None, about: Mapping[str, Any]) -> None:
        value, total = (_whole(about.get(key)) for key in ("value", "max"))
        told = (node, value, total)
        if node and 0 <= value <= total and told not in ((node, 0, 1), self._progressed):
            self._progressed = told
            self._emitter.send(Progress, *self._about(node), value, total)

    def preview(self, message: ComfyMessage) -> None:
        """Show an unfinished image."""
        node = message.text("node_id") or self._current
        if node:
            about = self._about(node, message.text("display_node_id"))
            self._emitter.send(Preview, *about, message.payload, message.text("mime"))

    def relay(self, message: ComfyMessage) -> None:
        """Hand on what a pack tells its scripts in the editor."""
        if is_plain(message.data):
            event = {"event": PACK_MESSAGE, "name": message.name, "data": message.data}
            self._reports.append(Report(PACK_MESSAGE, event))

    def type_of(self, node: NodeId) -> str:
        """Return the type of a node; empty for one that the server has added."""
        found = self._graph.nodes.get(node)
        return found.type_name if found else ""

    def _about(self, node: NodeId, shown_as: str = "") -> tuple[NodeId, str, NodeId]:
        """Return a node, its type, and the node that stands for it in the graph."""
        stands = shown_as if shown_as in self._graph.nodes else node
        return node, self.type_of(node) or self.type_of(stands), stands

    def _add(self, event: Event) -> None:
        payload = b""
        if isinstance(event, Preview):
            payload, event = event.image, replace(event, image=b"")
        data = cast("dict[str, Any]", as_dict(event))
        self._reports.append(Report(event.name, data, payload))


def _whole(value: object) -> int:
    """Return a number of steps as a whole one; -1 if it is none."""
    if isinstance(value, int | float) and math.isfinite(value):
        return int(value)
    return -1
