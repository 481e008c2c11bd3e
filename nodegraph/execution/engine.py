"""The engine: checks graphs and runs them; one for all threads of a process."""

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, TypedDict, Unpack

from nodegraph.cache.content import ContentCache
from nodegraph.cache.disk import DiskResults
from nodegraph.cache.limit import AUTO, limit_bytes
from nodegraph.cache.protocol import Cache
from nodegraph.cache.single_flight import Flights
from nodegraph.errors import InvalidWorkflowError, NodeGraphError, RunCancelledError
from nodegraph.execution.events import (
    Emit,
    Emitter,
    RunCancelled,
    RunFailed,
    RunFinished,
    RunStarted,
)
from nodegraph.execution.executor import Executor
from nodegraph.execution.forecast import foreseen_uses
from nodegraph.execution.run_context import RunFacts
from nodegraph.execution.steps import Steps
from nodegraph.execution.weights_budget import AcceleratorMemory, auto_budget
from nodegraph.files.files import Files
from nodegraph.graph.graph import Graph, NodeId
from nodegraph.graph.results import Ui
from nodegraph.packs.editor_shapes import shapes_of
from nodegraph.packs.registry import Registry
from nodegraph.runtime.call_merger import CallMerger
from nodegraph.runtime.choices import DEFAULT_ATTENTION, Attention, PreviewMethod
from nodegraph.runtime.model_pool import ModelPool
from nodegraph.runtime.run_environment import CancelToken, ModelListener
from nodegraph.runtime.run_models import RunModels
from nodegraph.settings.settings import Settings
from nodegraph.validation.defaults import with_defaults
from nodegraph.validation.own_checks import with_own_checks
from nodegraph.validation.validate import CheckedGraph, check
from nodegraph.workflow.read import read_workflow


class EngineOptions(TypedDict, total=False):
    """Further options of an engine."""

    attention: Attention
    """The kernels that compute attention; part of every key. `sdpa` if not given."""
    weights_cache: int | Literal["auto"]
    """The bytes of weights that stay in memory when no run uses them; `auto` if not given."""
    memory_budget: int | str
    """The most bytes of an accelerator that weights may take, or a share; `auto` likewise."""
    memory_reserve: int | str
    """The bytes of an accelerator that stay free for other programs, or a share; likewise."""
    merge: bool
    """True if model calls that several runs make at the same time are made as one."""


class RunOptions(TypedDict, total=False):
    """Further options of a run."""

    run_id: str
    """A new UUID if not given."""
    extra_pnginfo: Mapping[str, object]
    """The data to store in images; the graph's editor part if not given."""
    previews: bool
    """True if a client may watch previews."""
    files: Files
    """The folders of whoever asks; the engine's if not given."""
    preview_method: PreviewMethod
    """The way in which previews are made; `latent2rgb` if not given."""
    looked_at: Callable[[], bool]
    """Returns True while a client watches previews; always True if not given."""
    on_model_use: ModelListener
    """Is called once for each model that the run uses, from the thread that runs."""
    on_files_left: Callable[[], None]
    """Is called once no model is needed any more, and the nodes that are left only write: the
    device is free for the next run."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The results of a run."""

    run_id: str
    outputs: Mapping[NodeId, tuple[object, ...]]
    """The outputs of every target; one that carries several values is an `Items` tuple."""
    ui: Mapping[NodeId, Ui]
    """The `Ui` of every output node, computed or cached."""
    executed: int
    cached: int
    warnings: tuple[NodeGraphError, ...]


class Engine:
    """Runs graphs; several threads may call it at once and share what they compute.

    Args:
        registry: the node types there are.
        files: the folders that nodes read and write.
        cache: results between runs; a `ContentCache` of 4 GiB if None.
        **options: see `EngineOptions`.
    """

    def __init__(
        self,
        registry: Registry,
        files: Files,
        cache: Cache | None = None,
        **options: Unpack[EngineOptions],
    ) -> None:
        self.registry = registry
        self.files = files
        self.cache: Cache = ContentCache() if cache is None else cache
        self._attention: Attention = options.get("attention", DEFAULT_ATTENTION)
        kept = options.get("weights_cache", AUTO)
        memory = AcceleratorMemory(
            options.get("memory_budget", AUTO), options.get("memory_reserve", AUTO)
        )
        spill = partial(self.cache.spill, drops=False)
        self.models = ModelPool(auto_budget if kept == AUTO else kept, memory, spill)
        self.merger = CallMerger() if options.get("merge") else None
        self._flights = Flights()
        self._phased = set[str]()

    @classmethod
    def from_settings(
        cls, settings: Settings, registry: Registry, files: Files | None = None
    ) -> "Engine":
        """Return the engine that the settings describe: that of every program that runs graphs.

        Args:
            settings: all of them.
            registry: the node types there are.
            files: the folders that nodes read and write; those of the settings if None.
        """
        if files is None:
            files = settings.files(registry.model_places)
        disk = _disk_results(settings, registry) if settings.disk_result_cache else None
        limit = limit_bytes(settings.result_cache)
        cache = ContentCache(limit, settings.device_result_cache, disk)
        return cls(
            registry,
            files,
            cache,
            attention=settings.attention,
            weights_cache=settings.weights_cache,
            memory_budget=settings.memory_budget,
            memory_reserve=settings.memory_reserve,
            merge=settings.merge,
        )

    def free(self) -> None:
        """Forget all results, and let go of the weights that no run uses."""
        self.cache.clear()
        self.models.unload_idle()

    def read(self, source: Path | str | bytes) -> Graph:
        """A graph out of a workflow file in any format, with defaults for what it lacks.

        Args:
            source: a path, or what is in the file.

        Raises:
            InvalidWorkflowError: it cannot be read, or is no workflow.
        """
        catalog = self.registry.catalog
        return with_defaults(read_workflow(source, shapes_of(catalog, self.files)), catalog)

    def check(
        self, graph: Graph, targets: Iterable[NodeId] | None = None, files: Files | None = None
    ) -> CheckedGraph:
        """Find everything that is wrong with a graph, without running or importing anything."""
        return check(graph, self.registry, files or self.files, targets)

    def expect(self, graph: Graph, targets: Iterable[NodeId] | None = None) -> None:
        """Keep models and results for a run that comes next, rather than those of others.

        Models count until the next run begins. What is wrong with the graph is not told here.

        Args:
            graph: the graph.
            targets: see `run`.
        """
        checked = self.check(graph, targets)
        if not checked.problems:
            steps = self._steps(checked, self.files, run_id="")
            self.cache.expect({step.key for step in steps.by_id.values()})
            self.models.expect(foreseen_uses(steps, checked.targets, self.cache))

    def run(
        self,
        graph: Graph | CheckedGraph,
        *,
        targets: Iterable[NodeId] | None = None,
        emit: Emit | None = None,
        cancel: CancelToken | None = None,
        **options: Unpack[RunOptions],
    ) -> RunResult:
        """Run a graph for its targets; every output node if None.

        Args:
            graph: the graph; or what `check` made of it, and then its targets stand.
            targets: the nodes whose results are wanted.
            emit: is called with every event, from the thread that runs; if it raises, the
                run ends with that exception.
            cancel: stops the run.
            **options: see `RunOptions`.

        Raises:
            InvalidWorkflowError: the graph is invalid; carries every problem.
            NodeGraphError: a node failed.
            RunCancelledError: the run was cancelled.
        """
        checked = (
            graph
            if isinstance(graph, CheckedGraph)
            else self.check(graph, targets, options.get("files"))
        )
        if not checked.problems:
            checked = with_own_checks(checked, self.registry, options.get("files", self.files))
        if checked.problems:
            raise InvalidWorkflowError(checked.problems)
        facts = self._facts(checked, emit, options)
        facts.emitter.send(RunStarted, checked.targets)
        try:
            return self._execute(checked, facts, cancel or CancelToken())
        except RunCancelledError:
            facts.emitter.send(RunCancelled)
            raise
        except NodeGraphError as error:
            facts.emitter.send(RunFailed, error.as_dict())
            raise

    def _facts(self, checked: CheckedGraph, emit: Emit | None, options: RunOptions) -> RunFacts:
        editor = checked.original.editor
        return RunFacts(
            graph=checked.original,
            catalog=self.registry.catalog,
            files=options.get("files", self.files),
            emitter=Emitter(options.get("run_id") or str(uuid.uuid4()), emit),
            extra_pnginfo=options.get("extra_pnginfo", {"workflow": editor} if editor else {}),
            previews=_previews(options),
            looked_at=options.get("looked_at", _always),
            models=self.models,
            uses=RunModels(self.models, options.get("on_model_use")),
            attention=self._attention,
            merger=self.merger,
            on_files_left=options.get("on_files_left"),
            phased=self._phased,
        )

    def _execute(self, checked: CheckedGraph, facts: RunFacts, cancel: CancelToken) -> RunResult:
        self.models.expect({})
        steps = self._steps(checked, facts.files, facts.emitter.run_id)
        executor = Executor(
            steps, replace(facts, steps=steps.by_id), self.cache, self._flights, cancel
        )
        done = executor.run(checked.targets)
        result = RunResult(
            run_id=facts.emitter.run_id,
            outputs=done,
            ui=executor.shown,
            executed=len(executor.executed),
            cached=len(executor.cached),
            warnings=checked.warnings,
        )
        facts.emitter.send(RunFinished, result.executed, result.cached)
        return result

    def _steps(self, checked: CheckedGraph, files: Files, run_id: str) -> Steps:
        steps = Steps(self.registry, files, self._attention, run_id, self._phased)
        steps.add(checked.graph.nodes)
        return steps


def _disk_results(settings: Settings, registry: Registry) -> DiskResults:
    """Return the results on the disk; those of other code or another device are not found."""

    def depends_on() -> str:
        from nodegraph.runtime.devices import computing_environment  # torch, which results need

        packs = [f"{pack.name} {pack.digest}" for pack in registry.packs]
        return "\n".join([computing_environment(), *packs])

    return DiskResults(settings.results_dir, settings.disk_result_cache, depends_on)


def _always() -> bool:
    return True


def _previews(options: RunOptions) -> PreviewMethod:
    return options.get("preview_method", "latent2rgb") if options.get("previews") else "none"
