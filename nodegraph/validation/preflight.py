"""A node type's own check of its inputs, before anything is computed."""

from collections.abc import Callable, Iterable, Mapping

from nodegraph.errors import NodeExecutionError, NodeGraphError, NotHereError
from nodegraph.files.files import Files
from nodegraph.graph.graph import Link, Node
from nodegraph.graph.spec import NodeSpec
from nodegraph.packs.registry import Registry
from nodegraph.runtime.node_errors import call_node_code
from nodegraph.validation.problems import CustomValidationError


def preflight(node: Node, spec: NodeSpec, registry: Registry, files: Files) -> list[NodeGraphError]:
    """Return the problems that the node type's own check finds; links have no value yet."""
    if spec.preflight is None:
        return []
    literals = {name: v for name, v in node.inputs.items() if not isinstance(v, Link)}
    try:
        ask = registry.resolve(spec.preflight)
        found: list[NodeGraphError] = call_node_code(node, _problems, ask, literals, files)
    except NotHereError:  # a model that the run downloads is checked then
        found = []
    except NodeExecutionError as error:
        found = [CustomValidationError(f"the check of its inputs: {error.message}")]
    except NodeGraphError as error:
        found = [error]
    return [problem if problem.node_id else problem.at(node.id) for problem in found]


def _problems(
    ask: Callable[..., Iterable[NodeGraphError] | None],
    literals: Mapping[str, object],
    files: Files,
) -> list[NodeGraphError]:
    return list(ask(literals, files) or ())
