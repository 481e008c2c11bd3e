"""Run a plan: one loop, no policy."""

import gc
import sys
import time
from collections.abc import Iterator, Sequence
from typing import cast

from nodegraph.cache.entry import Entry, Inner, entry_of
from nodegraph.cache.protocol import Cache
from nodegraph.cache.single_flight import Flights, Passengers
from nodegraph.definition.node import Memory
from nodegraph.errors import NodeGraphError, RunCancelledError
from nodegraph.execution.call import (
    Arguments,
    Result,
    arguments_of,
    batches_of,
    blocked_result,
    collect,
    invoke,
)
from nodegraph.execution.events import NodeCached, NodeFinished, NodeStarted, Notice, RunPlanned
from nodegraph.execution.expand import Splices
from nodegraph.execution.live_results import LiveResults
from nodegraph.execution.model_claims import ModelClaims
from nodegraph.execution.plan import Plan
from nodegraph.execution.run_context import RunContext, RunFacts
from nodegraph.execution.steps import Step, Steps
from nodegraph.graph.graph import NodeId
from nodegraph.graph.results import Expansion, Ui
from nodegraph.runtime.node_errors import call_node_code
from nodegraph.runtime.out_of_memory import OutOfMemoryError, let_go
from nodegraph.runtime.run_environment import CancelToken, use_environment

_ROOM = "what was kept of earlier runs is forgotten, for this node needs the memory."
_MOVED = "out of memory: results of earlier nodes are moved to the host, trying again."
_FORGOTTEN = "out of memory: what was kept of earlier runs is forgotten, trying again."
_STREAMED = "out of memory: more of the model's weights wait on the host, trying again."


class Executor:
    """One run under way: `live` holds the results that somebody still needs."""

    def __init__(
        self, steps: Steps, facts: RunFacts, cache: Cache, flights: Flights, cancel: CancelToken
    ) -> None:
        self._steps = steps
        self._by_id = steps.by_id
        self._facts = facts
        self._cache = cache
        self._flights = flights
        self._landed = flights.landed
        """The results that all runs had computed before this one was planned."""
        self._made: set[str] = set()
        """The keys of those that this run has computed."""
        self._cancel = cancel
        self._unkept: set[NodeId] = set()
        """The nodes whose results are not what their keys say, and those that read them."""
        self._passengers = Passengers(cancel)
        """The runs that want the result that is being computed."""
        self._on_files_left = facts.on_files_left
        self._last: NodeId = ""
        """The last of the planned nodes that does not only write, where that is known."""
        self._live = LiveResults(cache)
        self._splices: dict[NodeId, Splices] = {}
        self._inner: dict[NodeId, tuple[Inner, ...]] = {}
        self._plan = Plan(
            reads=lambda node_id: self._by_id[node_id].reads,
            needs=lambda node_id: self._by_id[node_id].needs,
            at_hand=self._at_hand,
        )
        self._claims = ModelClaims(facts.uses, self._by_id, self._plan)
        self.shown: dict[NodeId, Ui] = {}
        self.executed: dict[NodeId, None] = {}
        self.cached: dict[NodeId, None] = {}

    def run(self, targets: Sequence[NodeId]) -> dict[NodeId, tuple[object, ...]]:
        """Compute the targets and return their outputs; to be called once.

        Raises:
            NodeGraphError: a node failed; nothing of it is cached.
            RunCancelledError: the run was cancelled.
        """
        try:
            with use_environment(self._facts.environment_with(self._check_wanted)):
                return self._run(targets)
        finally:  # now, not when the garbage collector comes
            self._live.clear()
            self._splices.clear()
            self._claims.end()

    def _run(self, targets: Sequence[NodeId]) -> dict[NodeId, tuple[object, ...]]:
        self._plan.require(targets)
        upcoming = self._plan.upcoming()
        self._facts.emitter.send(RunPlanned, tuple(upcoming), self._skipped_nodes(upcoming))
        for node_id in self._plan:
            self._cancel.check()
            step = self._by_id[node_id]
            if step.kind.writes_only:
                self._tell_if_only_files_are_left()
            entry = self._obtain(step)
            self._facts.uses.leave_node()
            if entry is None:
                continue
            self._hold(node_id, entry)
            freed = self._plan.finish(node_id)
            self._live.release(freed)
            if self._claims.active:
                self._claims.release(step, freed)
        with self._live.reading(targets) as live:
            return {target: live[target].outputs for target in targets}

    def _check_wanted(self) -> None:
        self._passengers.check()

    def _tell_if_only_files_are_left(self) -> None:
        """Call the listener once no model is needed any more, and what is left only writes."""
        tell = self._on_files_left
        if tell is None or self._facts.uses.claims or self._last in self._plan.pending:
            return
        left = (self._by_id[node_id] for node_id in self._plan.last_first())
        self._last = next((step.node.id for step in left if not step.kind.writes_only), "")
        if not self._last:
            self._on_files_left = None
            tell()

    def _skipped_nodes(self, upcoming: Sequence[NodeId]) -> tuple[NodeId, ...]:
        """Return the nodes with a cached result, and those that only they would need."""
        found, planned = dict.fromkeys(self._live), set(upcoming)
        pending = list(found)
        while pending:
            for source in self._by_id[pending.pop()].reads:
                if source not in found and source not in planned:
                    found[source] = None
                    pending.append(source)
        return tuple(found)

    def _at_hand(self, node_id: NodeId) -> bool:
        """Say if a node's result is cached, and if so hold it for this run."""
        entry = self._find(self._by_id[node_id])
        if entry is not None:
            self._hold(node_id, entry)
        return entry is not None

    def _hold(self, node_id: NodeId, entry: Entry) -> None:
        self._live.hold(node_id, entry)
        if entry.models:
            self._claims.hold(node_id, entry)

    def _obtain(self, step: Step) -> Entry | None:
        """Return the node's result, or None if it was put off until other nodes are done."""
        if self._splices and step.node.id in self._splices:
            return self._join(step)
        if step.lazy:
            entry = self._find(step, again=True) if self._is_kept(step) else None
            if entry is not None:
                return entry
            lacking = self._lacking(step)
            if lacking:
                self._plan.put_off(step.node.id, lacking)
                return None
        return self._share(step)

    def _find(self, step: Step, *, again: bool = False) -> Entry | None:
        entry = self._live.get(step.node.id)
        if entry is not None or step.volatile:
            return entry
        entry = self._cache.get(step.key, counted=not again)
        if entry is None:
            return None
        if (entry.ui or entry.inner) and not self._still_there(entry):
            self._cache.drop(step.key)
            return None
        return self._note_cached(step, entry)

    def _note_cached(self, step: Step, entry: Entry) -> Entry:
        """Record a result that this run did not compute."""
        if entry.inner:
            self._show_inner(step, entry.inner)
        self.cached[step.node.id] = None
        self._show(step, entry.ui)
        self._facts.emitter.send(NodeCached, *step.who, entry.ui)
        return entry

    def _show_inner(self, step: Step, inner: tuple[Inner, ...]) -> None:
        """Show again what the nodes of a cached expansion showed."""
        self._inner[step.node.id] = inner
        for suffix, type_name, ui in inner:
            node_id = step.node.id + suffix
            self.cached[node_id] = None
            self.shown[node_id] = ui
            self._facts.emitter.send(NodeCached, node_id, type_name, step.shown_as, ui)

    def _still_there(self, entry: Entry) -> bool:
        """Say if the files that a node showed still exist; if not, it must run again."""
        shown = [inner.ui for inner in entry.inner]
        if entry.ui:
            shown.append(entry.ui)
        items = [item for ui in shown for found in ui.artifacts.values() for item in found]
        return all(self._facts.files.users.find_artifact(item) for item in items)

    def _lacking(self, step: Step) -> tuple[NodeId, ...]:
        """Return the sources of the lazy inputs that the node needs next and that lack a result."""
        asked = self._requested_inputs(step)
        if not step.unused.isdisjoint(asked):
            self._unkept.add(step.node.id)
            self._facts.phased.add(step.node.type_name)
        names = [name for name in step.node.inputs if name in step.lazy and name in asked]
        return tuple(source for source in step.sources(names) if source not in self._live)

    def _requested_inputs(self, step: Step) -> set[str]:
        needs = step.kind.needs
        if needs is None:
            return set(step.lazy)
        with self._live.reading(step.reads) as live:
            batches, _ = batches_of(arguments_of(step, live), step.kind.spec)
            batches = [batch for batch in batches if not blocked_result(batch, step.kind.spec)]
            given = (step.kind.arguments_of(batch) for batch in batches)
            return {name for batch in given for name in call_node_code(step.node, needs, batch)}

    def _share(self, step: Step) -> Entry | None:
        """Compute the result, or wait for the run that already does."""
        if step.volatile or not self._is_kept(step):
            return self._compute(step, Passengers(self._cancel))
        flight = self._flights.join(step.key, self._cancel)
        if flight.error is not None:
            raise flight.error.at(step.node.id)
        if flight.entry is not None:
            return self._note_cached(step, flight.entry)
        try:
            flight.entry = self._find_new(step) or self._compute(step, flight.passengers)
        except NodeGraphError as error:
            flight.error = None if isinstance(error, RunCancelledError) else error
            raise
        finally:
            self._flights.end(flight)
        return flight.entry

    def _find_new(self, step: Step) -> Entry | None:
        """Return what another run, or this one for an equal node, computed after the plan."""
        others = self._flights.landed > self._landed + len(self._made)
        return self._find(step, again=True) if others or step.key in self._made else None

    def _compute(self, step: Step, passengers: Passengers) -> Entry | None:
        """Call the node; return None if it expands, for then it waits for its nodes."""
        self._passengers = passengers
        self.executed[step.node.id] = None
        self._facts.emitter.send(NodeStarted, *step.who)
        started = time.perf_counter()
        with self._live.reading(step.reads) as live:
            batches, mapped = batches_of(arguments_of(step, live), step.kind.spec)
            results = self._call_all(step, batches, passengers)
            del batches  # what they hold may be moved from here on
        seconds = time.perf_counter() - started
        if [result for result in results if isinstance(result, Expansion)]:
            self._splices[step.node.id] = splices = Splices.from_results(
                step, results, mapped, self._steps
            )
            self._plan.put_off(step.node.id, splices.reads)
            return None
        plain = cast("list[Result]", results)
        return self._finish(step, collect(plain, step.kind.spec, mapped=mapped), seconds)

    def _call_all(
        self, step: Step, batches: Sequence[Arguments], passengers: Passengers
    ) -> list[Result | Expansion]:
        """Call the node, once for each batch of arguments."""
        context = None
        if step.kind.context_name:
            context = RunContext(self._facts, step.who, passengers.check)
        results: list[Result | Expansion] = []
        for batch in batches:
            if results:
                passengers.check()
            held = blocked_result(batch, step.kind.spec)
            results.append(held or self._call(step, batch, context))
        return results

    def _join(self, step: Step) -> Entry:
        """Return the result of a node that expanded, made from those of its nodes."""
        splices = self._splices.pop(step.node.id)
        if not self._unkept.isdisjoint(splices.reads):
            self._unkept.add(step.node.id)
        seconds = sum(self._live[node_id].seconds for node_id in splices.reads)
        inner = tuple(self._shown_in(step, splices))
        if inner:
            self._inner[step.node.id] = inner
        with self._live.reading(splices.reads) as live:
            entry = self._finish(step, splices.result(live, step.kind.spec), seconds, inner)
        self._flights.land()
        return entry

    def _shown_in(self, step: Step, splices: Splices) -> Iterator[Inner]:
        """Yield what the nodes of an expansion showed, at any depth."""
        for node_id in splices.nodes:
            suffix = node_id.removeprefix(step.node.id)
            ui = self.shown.get(node_id)
            if ui is not None:
                yield Inner(suffix, self._by_id[node_id].node.type_name, ui)
            for inner in self._inner.get(node_id, ()):
                yield inner._replace(suffix=suffix + inner.suffix)

    def _call(self, step: Step, batch: Arguments, context: RunContext | None) -> Result | Expansion:
        """Call the node; again with ever less on the accelerator beside it if it must be.

        First results move to the host, then what no run needs is forgotten, then the largest model
        of the node keeps half of its weights there, again and again.
        """
        if step.kind.memory:
            self._make_room(step, batch, step.kind.memory)
        reliefs = self._reliefs()
        while True:
            try:
                return call_node_code(step.node, invoke, step, batch, context)
            except NodeGraphError as error:
                self._raise_if_broken()
                if not isinstance(error, OutOfMemoryError):
                    raise
                let_go(error)
                if (says := next(reliefs, None)) is None:
                    raise
            gc.collect()  # what is held in cycles
            self._facts.emitter.send(Notice, *step.who, says)

    def _reliefs(self) -> Iterator[str]:
        """Leave ever less on the accelerator; yield a notice of each step that made room there."""
        if self._spill():
            yield _MOVED
        if self._forget():
            yield _FORGOTTEN
        while self._facts.uses.shrink():
            yield _STREAMED

    def _raise_if_broken(self) -> None:
        """Raise what a consumer of events raised, in place of the error that a node made of it."""
        broken = self._facts.emitter.broken
        if broken is not None:
            raise broken from None

    def _make_room(self, step: Step, batch: Arguments, memory: Memory) -> None:
        """Move or forget what is kept of earlier runs if the node says that it needs the memory."""
        from nodegraph.runtime.devices import (
            free_bytes,  # torch, which such a node has loaded anyhow
        )

        wanted = call_node_code(step.node, memory, step.kind.arguments_of(batch))
        missing = wanted - free_bytes()
        if missing > 0 and self._cache.spill(missing) < missing and self._forget():
            gc.collect()  # what is held in cycles
            self._facts.emitter.send(Notice, *step.who, _ROOM)

    def _spill(self) -> bool:
        """Move results from the accelerators to the host; return True if there were any."""
        return self._cache.spill(sys.maxsize) > 0

    def _forget(self) -> bool:
        """Forget results and weights that no run needs; return True if there were any."""
        results, weights = self._cache.clear(), self._facts.models.unload_idle()
        return results or weights

    def _finish(
        self, step: Step, result: Result, seconds: float, inner: tuple[Inner, ...] = ()
    ) -> Entry:
        entry = entry_of(result.outputs, result.ui, seconds, inner)
        if not step.volatile and self._is_kept(step):
            self._cache.put(step.key, entry)
            self._made.add(step.key)
        self._check_inputs(step)
        self._show(step, result.ui)
        self._facts.emitter.send(NodeFinished, *step.who, seconds, result.ui)
        return entry

    def _is_kept(self, step: Step) -> bool:
        """Say if a result is what its key says: none of those it reads had to be put in doubt."""
        if self._unkept and not self._unkept.isdisjoint(step.reads):
            self._unkept.add(step.node.id)
        return step.node.id not in self._unkept

    def _check_inputs(self, step: Step) -> None:
        """Report inputs that the node wrote to; they are no longer what their keys say."""
        for source in step.reads:
            entry = self._live.get(source)
            if entry is None or entry.held.intact:
                continue
            self._cache.drop(self._by_id[source].key)
            self._live.excuse(source)
            message = (
                f"{step.node.type_name} changed its input from node {source!r} in place,"
                " so that result is not kept; a node must copy before it writes."
            )
            self._facts.emitter.send(Notice, *step.who, message)

    def _show(self, step: Step, ui: Ui | None) -> None:
        if ui is not None:
            self.shown[step.node.id] = ui
