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
        uses.foresee = self.next_uses

    def next_uses(self) -> Mapping[int, float]:
        """Return the distances of the next uses of models, in nodes, by the models' identity."""
        upcoming = [self._steps[node_id] for node_id in self._plan.upcoming()]
        return distances(upcoming, lambda link: self._held.get(link.source, {}).get(link.output))

    def __bool__(self) -> bool:
        return bool(self._held)

    def hold(self, node_id: NodeId, entry: Entry) -> None:
        """Claim the models in a node's result."""
        if node_id in self._held:
            return
        self._held[node_id] = {k: models for k, models in enumerate(entry.models) if models}
        for models in self._held[node_id].values():
            self._uses.hold(models)

    def release(self, step: Step, freed: Iterable[NodeId]) -> None:
        """Release what nobody reads any more, now that a node is done.

        Args:
            step: the node.
            freed: the nodes whose whole results are not needed any more.
        """
        for node_id in freed:
            for models in self._held.pop(node_id, {}).values():
                self._uses.release(models)
        for source in step.reads:
            held = self._held.get(source)
            if held and not self._plan.needs_whole(source):
                for output in [k for k in held if not self._is_read(source, k)]:
                    self._uses.release(held.pop(output))

    def end(self) -> None:
        """Release everything."""
        self._held.clear()
        self._uses.end()

    def _is_read(self, source: NodeId, output: int) -> bool:
        link = Link(source, output)
        nodes = (self._steps[node_id].node for node_id in self._plan.pending)
        return any(type(v) is Link and v == link for node in nodes for v in node.inputs.values())


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
        for value in step.node.inputs.values():
            for model in (models(value) or ()) if type(value) is Link else ():
                found.setdefault(id(model), distance)
    return found
