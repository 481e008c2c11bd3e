"""Why a prompt is not accepted, in the shape that ComfyUI's clients expect; the words are ours."""

from collections.abc import Iterable, Mapping
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.files import Files
from nodegraph.object_info import input_info
from nodegraph.registry import Registry
from nodegraph.validate import Checked

_WHOLE = ("prompt_no_outputs", "unknown_target")
"""Problems of the prompt as a whole."""
_TYPES: Mapping[str, str] = {
    "unknown_target": "prompt_no_outputs",
    "unknown_node_type": "invalid_prompt",
    "missing_class_type": "invalid_prompt",
    "link_to_missing_node": "exception_during_validation",
    "link_output_out_of_range": "exception_during_validation",
    "cycle": "prompt_outputs_failed_validation",
    "unknown_file": "custom_validation_failed",
}
"""ComfyUI's names, where they are others than our codes."""
FAILED = "prompt_outputs_failed_validation"


def refusal(problems: Iterable[NodeGraphError]) -> dict[str, Any]:
    """The reply to what is no prompt at all."""
    first = next(iter(problems))
    return {"error": _error(first), "node_errors": {}}


class Refusals:
    """The replies to prompts that do not validate.

    Args:
        registry: the node types there are.
        files: what their choices are.
    """

    def __init__(self, registry: Registry, files: Files) -> None:
        self._registry = registry
        self._files = files

    def whole(self, checked: Checked) -> dict[str, Any]:
        """The reply to a prompt of which nothing can run."""
        for problem in checked.problems:
            kind = _type(problem)
            if problem.code in _WHOLE or kind == "invalid_prompt":
                return {"error": _error(problem), "node_errors": {}}
        details = "\n".join(problem.message for problem in checked.problems)
        error: dict[str, object] = {
            "type": FAILED,
            "message": "The prompt's outputs did not pass validation",
            "details": details,
            "extra_info": {},
        }
        return {"error": error, "node_errors": self.by_node(checked)}

    def by_node(self, checked: Checked) -> dict[str, Any]:
        """The problems of each node."""
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
            entry["errors"].append(self._node_error(problem, entry["class_type"]))
        return found

    def _node_error(self, problem: NodeGraphError, class_type: str) -> dict[str, Any]:
        extra: dict[str, Any] = dict(problem.details)
        if problem.input_name is not None:
            extra["input_name"] = problem.input_name
            config = self._config(class_type, problem.input_name)
            if config is not None:
                extra["input_config"] = config
        named = f"{problem.input_name}: " if problem.input_name is not None else ""
        return {
            "type": _type(problem),
            "message": problem.message,
            "details": f"{named}{problem.hint}".rstrip(": "),
            "extra_info": extra,
        }

    def _config(self, class_type: str, name: str) -> object:
        """An input as `/object_info` has it."""
        spec = self._registry.catalog.get(class_type)
        found = [item for item in spec.inputs if item.name == name] if spec else []
        return input_info(found[0], self._files) if found else None


def _error(problem: NodeGraphError) -> dict[str, Any]:
    return {
        "type": _type(problem),
        "message": problem.message,
        "details": problem.hint,
        "extra_info": {"node_id": problem.node_id} if problem.node_id is not None else {},
    }


def _type(problem: NodeGraphError) -> str:
    return _TYPES.get(problem.code, problem.code)
