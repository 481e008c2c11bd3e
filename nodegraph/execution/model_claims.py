"""Claims of a run on the models in its results, each output's apart, and their next uses."""

from collections.abc import Callable, Iterable, Mapping

from nodegraph.cache.entry import Entry
from nodegraph.execution.plan import Plan
from nodegraph.execution.steps import Step
from nodegraph.graph.graph import Link, NodeId
from nodegraph.runtime.pooled_model import PooledModel
from nodegraph.runtime.run_models import RunModels


class ModelClaims:
    """Keeps the models in results until the last reader of the output is done.

    Args:
        uses: the models of the run.
        steps: its steps by node id, to which expansions add.
        plan: its plan.
    """

    def __init__(self, uses: RunModels, steps: Mapping[NodeId, Step], plan: Plan) -> None:
        self._uses = uses
        self._steps = steps
        self._plan = plan
        self._held: dict[NodeId, dict[int, tuple[PooledModel, ...]]] = {}
        self._readers: dict[tuple[NodeId, int], int] = {}
        """The planned nodes that read an output and are not done, from the first claim on."""
        self._counted = 0
        """The number of planned nodes that are counted there, or were done before."""
        self.active = False
        """True as soon as there was a claim; from then on `release` must hear of every node."""
        uses.foresee = self.next_uses

    def next_uses(self) -> Mapping[int, float]:
        """Return the distances of the next uses of models, in nodes, by the models' identity."""
        upcoming = [self._steps[node_id] for node_id in self._plan.upcoming()]
        return distances(upcoming, lambda link: self._held.get(link.source, {}).get(link.output))

    def hold(self, node_id: NodeId, entry: Entry) -> None:
        """Claim the models in a node's result."""
        if node_id in self._held:
            return
        if not self.active:
            self.active = True
            self._count(self._plan.pending)
        self._held[node_id] = {k: models for k, models in enumerate(entry.models) if models}
        for models in self._held[node_id].values():
            self._uses.hold(models)

    def release(self, step: Step, freed: Iterable[NodeId]) -> None:
        """Release what nobody reads any more, now that a node is done.

        Args:
            step: the node.
            freed: the nodes whose whole results are not needed any more.
        """
        self._count(self._plan.planned[self._counted :])
        for link in _links(step):
            self._readers[link.source, link.output] -= 1
        for node_id in freed:
            for models in self._held.pop(node_id, {}).values():
                self._uses.release(models)
        for source in step.reads:
            held = self._held.get(source)
            if held and not self._plan.needs_whole(source):
                for output in [k for k in held if not self._readers.get((source, k))]:
                    self._uses.release(held.pop(output))

    def end(self) -> None:
        """Release everything."""
        self._held.clear()
        self._uses.end()

    def _count(self, node_ids: Iterable[NodeId]) -> None:
        """Count what planned nodes read: at first the pending ones, then those that are new."""
        for node_id in node_ids:
            for link in _links(self._steps[node_id]):
                key = (link.source, link.output)
                self._readers[key] = self._readers.get(key, 0) + 1
        self._counted = len(self._plan.planned)


def distances(
    upcoming: Iterable[Step], models: Callable[[Link], Iterable[PooledModel] | None]
) -> dict[int, float]:
    """Return the distances of the next uses of models, in nodes, by the models' identity.

    Args:
        upcoming: nodes that will be computed, in their order; the first has distance 1.
        models: returns those in an output; None if it is not known yet.
    """
    found: dict[int, float] = {}
    for distance, step in enumerate(upcoming, start=1):
        for link in _links(step):
            for model in models(link) or ():
                found.setdefault(id(model), distance)
    return found


def _links(step: Step) -> list[Link]:
    return [value for value in step.node.inputs.values() if type(value) is Link]
