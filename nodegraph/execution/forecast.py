"""The models that a run will use which has not begun, as far as kept results tell."""

from collections.abc import Sequence

from nodegraph.cache.protocol import Cache
from nodegraph.execution.model_claims import distances
from nodegraph.execution.plan import Plan
from nodegraph.execution.steps import Step, Steps
from nodegraph.graph.graph import Link, NodeId
from nodegraph.runtime.pooled_model import PooledModel


def foreseen_uses(steps: Steps, targets: Sequence[NodeId], cache: Cache) -> dict[int, float]:
    """Return the distances of the uses of models, in nodes, by the models' identity.

    A node whose result is kept will not be computed. A model is known if the result is kept that
    it is in, such as that of a loader; others have no weights in memory.

    Args:
        steps: of the run.
        targets: the nodes whose results it is for.
        cache: the results.
    """
    plan = Plan(
        reads=lambda node_id: steps.by_id[node_id].reads,
        needs=lambda node_id: steps.by_id[node_id].needs,
        at_hand=lambda node_id: _is_kept(steps.by_id[node_id], cache),
    )
    plan.require(targets)

    def models(link: Link) -> Sequence[PooledModel]:
        entry = cache.get(steps.by_id[link.source].key, counted=False)
        return entry.models[link.output] if entry is not None and entry.models else ()

    return distances((steps.by_id[node_id] for node_id in plan.upcoming()), models)


def _is_kept(step: Step, cache: Cache) -> bool:
    """Return True if a node's result is there for any run."""
    return not step.volatile and cache.get(step.key, counted=False) is not None
