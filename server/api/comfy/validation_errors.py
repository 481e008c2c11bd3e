"""Replies to invalid prompts, in the JSON that ComfyUI's clients expect, with our messages."""

from collections.abc import Iterable, Mapping
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.files.files import Files
from nodegraph.graph.dynamic_inputs import all_inputs
from nodegraph.graph.spec import InputSpec
from nodegraph.packs.object_info import input_info
from nodegraph.packs.registry import Registry
from nodegraph.validation.validate import CheckedGraph

FAILED = "prompt_outputs_failed_validation"
_WHOLE: Mapping[str, str] = {
    "prompt_no_outputs": "prompt_no_outputs",
    "unknown_target": "prompt_no_outputs",
    "unknown_node_type": "invalid_prompt",
    "missing_class_type": "invalid_prompt",
    "no_common_server": "invalid_prompt",
}
"""Codes of problems that concern no single node, and ComfyUI's types for them."""
_RAISED = "exception_during_validation"
_RAISED_INSIDE = "exception_during_inner_validation"
"""That of a check that failed itself, at a node that others read."""
_CUSTOM = "custom_validation_failed"
_OF_NODES: Mapping[str, str] = {
    "required_input_missing": "required_input_missing",
    "bad_linked_input": "bad_linked_input",
    "return_type_mismatch": "return_type_mismatch",
    "invalid_input_type": "invalid_input_type",
    "value_smaller_than_min": "value_smaller_than_min",
    "value_bigger_than_max": "value_bigger_than_max",
    "value_not_in_list": "value_not_in_list",
    "link_to_missing_node": _RAISED,
    "link_output_out_of_range": _RAISED,
}
"""Codes of a node's problems, and ComfyUI's types; all others become its custom type."""


def refusal(problems: Iterable[NodeGraphError]) -> dict[str, Any]:
    """Return the reply to a request without a readable prompt."""
    return {"error": _error(next(iter(problems))), "node_errors": {}}


class Refusals:
    """The replies to prompts that do not validate.

    Args:
        registry: the known node types.
        files: lists the files that their inputs can choose from.
    """

    def __init__(self, registry: Registry, files: Files) -> None:
        self._registry = registry
        self._files = files

    def whole(self, checked: CheckedGraph) -> dict[str, Any]:
        """Return the reply to a prompt of which no part can run."""
        for problem in checked.problems:
            if problem.code in _WHOLE:
                return {"error": _error(problem), "node_errors": {}}
        error: dict[str, object] = {
            "type": FAILED,
            "message": "The prompt's outputs did not pass validation",
            "details": "\n".join(problem.message for problem in checked.problems),
            "extra_info": {},
        }
        return {"error": error, "node_errors": self.by_node(checked)}

    def by_node(self, checked: CheckedGraph) -> dict[str, Any]:
        """Return the problems of each node, by its id."""
        found: dict[str, Any] = {}
        for problem in checked.problems:
            if problem.node_id is None:
                continue
            node = checked.original.nodes.get(problem.node_id)
            entry = found.setdefault(
                problem.node_id,
                {
                    "errors": [],
                    "dependent_outputs": list(checked.dependents(problem.node_id)),
                    "class_type": node.type_name if node else "",
                },
            )
            inner = problem.node_id not in checked.targets
            entry["errors"].append(self._node_error(problem, entry["class_type"], inner=inner))
        return found

    def _node_error(
        self, problem: NodeGraphError, class_type: str, *, inner: bool
    ) -> dict[str, Any]:
        spec = self._spec(class_type, problem.input_name)
        kind = _node_type(problem, spec, inner=inner)
        extra: dict[str, Any] = {"code": problem.code, **problem.details}
        if problem.input_name is not None:
            extra["input_name"] = problem.input_name
        if spec is not None:
            extra["input_config"] = input_info(spec, self._files)
        if kind in (_RAISED, _RAISED_INSIDE):
            extra = {"exception_type": problem.code, "traceback": [], **extra}
        if kind == "invalid_input_type":
            extra["exception_message"] = problem.message
        named = f"{problem.input_name}: " if problem.input_name is not None else ""
        return {
            "type": kind,
            "message": problem.message,
            "details": f"{named}{problem.hint}".rstrip(": "),
            "extra_info": extra,
        }

    def _spec(self, class_type: str, name: str | None) -> InputSpec | None:
        spec = self._registry.catalog.get(class_type)
        inputs = all_inputs(spec.inputs) if spec else ()
        return next((item for item in inputs if item.name == name), None)


def _error(problem: NodeGraphError) -> dict[str, Any]:
    return {
        "type": _WHOLE.get(problem.code, problem.code),
        "message": problem.message,
        "details": problem.hint,
        "extra_info": {"node_id": problem.node_id} if problem.node_id is not None else {},
    }


def _node_type(problem: NodeGraphError, spec: InputSpec | None, *, inner: bool) -> str:
    """Return ComfyUI's type of a problem; there, a missing file is found by the node itself."""
    if problem.code == _CUSTOM and "exception_type" in problem.details:
        return _RAISED_INSIDE if inner else _RAISED
    if problem.code == "value_not_in_list" and spec and spec.input_file:
        return _CUSTOM
    return _OF_NODES.get(problem.code, _CUSTOM)
