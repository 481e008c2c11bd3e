"""The engine's implementation of `Context`, by which a node talks to its run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from nodegraph.execution.events import Emitter, Notice, Preview, Progress, ProgressText
from nodegraph.execution.fingerprint import Opaque
from nodegraph.execution.steps import Step
from nodegraph.files.file_names import SaveSlot
from nodegraph.files.files import Files
from nodegraph.graph.graph import Graph, Node, NodeId
from nodegraph.graph.spec import NodeSpec
from nodegraph.runtime.call_merger import CallMerger
from nodegraph.runtime.choices import Attention, PreviewMethod
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import RunEnvironment
from nodegraph.runtime.run_models import RunModels
from nodegraph.workflow.api_format import as_sent


@dataclass(frozen=True)
class RunFacts:
    """The data that all nodes of one run share."""

    graph: Graph
    catalog: Mapping[str, NodeSpec]
    files: Files
    emitter: Emitter
    extra_pnginfo: Mapping[str, object]
    previews: PreviewMethod
    """`none` if no client ever watches them."""
    looked_at: Callable[[], bool]
    """Returns True while a client watches them."""
    models: ModelPool
    """Those that all runs of the engine share."""
    uses: RunModels
    """The models that this run uses."""
    attention: Attention
    """The kernels that networks use."""
    merger: CallMerger | None = None
    """Merges model calls of the engine's runs, if the settings say so."""
    steps: Mapping[NodeId, Step] = field(default_factory=dict[NodeId, Step])
    """The steps of the run, those of expanded nodes too."""
    on_files_left: Callable[[], None] | None = None
    """Is called once no model is needed any more, and the nodes that are left only write."""
    phased: set[str] = field(default_factory=set[str])
    """The node types that ask for lazy inputs in several steps; runs add to it."""

    @cached_property
    def prompt(self) -> Mapping[str, Any]:
        """The graph as it was submitted, in API format."""
        return as_sent(self.graph)

    @cached_property
    def type_versions(self) -> Mapping[str, str]:
        """The version of each node type of the graph."""
        names = dict.fromkeys(node.type_name for node in self.graph.nodes.values())
        return {name: self.catalog[name].version for name in names if name in self.catalog}

    def environment_with(self, check_cancelled: Callable[[], None]) -> RunEnvironment:
        """Return the environment of one call of a node, which this function can end."""
        return RunEnvironment(self.attention, self.uses, check_cancelled, self.merger)


class NodeReports:
    """The reports of one call of a node to those who watch its run.

    Args:
        facts: of the run.
        who: the node; see `Step.who`.
        check_cancelled: raises `RunCancelledError` if no run wants the node's result any more.
    """

    def __init__(
        self, facts: RunFacts, who: tuple[NodeId, str, NodeId], check_cancelled: Callable[[], None]
    ) -> None:
        self._facts = facts
        self._who = who
        self._check_cancelled = check_cancelled

    def progress(self, value: int, total: int) -> None:
        """Report the node's progress."""
        self._facts.emitter.send(Progress, *self._who, value, total)

    def notice(self, message: str) -> None:
        """Tell the user something that is not an error."""
        self._facts.emitter.send(Notice, *self._who, message)

    def check_cancelled(self) -> None:
        """Raise if no run wants the result any more.

        While another run waits for the same result, the computation goes on.

        Raises:
            RunCancelledError: every run that wanted it was cancelled.
        """
        self._check_cancelled()


class RunContext(NodeReports):
    """The `Context` of one call of a node; its files have reports that do not refer to it."""

    _files: Files | None = None

    @property
    def node_id(self) -> str:
        """The id of the node that runs."""
        return self._who[0]

    @property
    def run_id(self) -> str:
        """The id of the run it belongs to."""
        return self._facts.emitter.run_id

    @property
    def files(self) -> Files:
        """The models, input, output and temp folders; downloads are reported here."""
        if self._files is None:
            slot = SaveSlot(self.run_id, self.node_id)
            reports = NodeReports(self._facts, self._who, self._check_cancelled)
            self._files = replace(self._facts.files, watch=reports, slot=slot)
        return self._files

    @property
    def models(self) -> ModelPool:
        """The models in memory, which all runs of the engine share."""
        return self._facts.models

    @property
    def prompt(self) -> Mapping[str, object]:
        """The whole graph in API format, as images carry it."""
        return self._facts.prompt

    def node(self, node_id: str) -> Node | None:
        """Return a node as it runs, with the values that an expansion gave it."""
        step = self._facts.steps.get(node_id)
        if step is None:
            return None
        inputs = step.node.inputs.items()
        values = {name: v.value if isinstance(v, Opaque) else v for name, v in inputs}
        return replace(step.node, inputs=values)

    def shown_as(self, node_id: str) -> str:
        """Return the node of the submitted graph that stands for a node in the editor."""
        step = self._facts.steps.get(node_id)
        return step.shown_as if step else node_id

    @property
    def type_versions(self) -> Mapping[str, str]:
        """The version of each node type of the graph."""
        return self._facts.type_versions

    @property
    def extra_pnginfo(self) -> Mapping[str, object]:
        """The editor's data to store in images: `workflow`."""
        return self._facts.extra_pnginfo

    @property
    def wants_preview(self) -> bool:
        """True while a client watches previews."""
        return self._facts.previews != "none" and self._facts.looked_at()

    @property
    def preview_method(self) -> PreviewMethod:
        """The way in which previews are made."""
        return self._facts.previews

    def preview(self, image: bytes, mime: str) -> None:
        """Show an intermediate image."""
        self._facts.emitter.send(Preview, *self._who, image, mime)

    def progress_text(self, text: str) -> None:
        """Show an unfinished text."""
        self._facts.emitter.send(ProgressText, *self._who, text)
