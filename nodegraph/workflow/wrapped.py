"""Workflows inside of other JSON: what programs and services put around them.

`{"prompt": …}` is what is submitted over HTTP, `{"workflow": …, "output": …}` what the editor gives
to its scripts, `{"input": {"workflow": …}}` what services such as RunPod take. Any of these may be
a text that holds JSON.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from nodegraph.errors import InvalidWorkflowError
from nodegraph.graph.json_values import is_list, is_object, parse_json

_KEYS: Final = ("prompt", "output", "workflow_api", "workflow", "workflow_json", "input")
"""The keys that a workflow may be under; those of the API format first."""
_DEEPEST = 4


@dataclass(frozen=True, slots=True)
class Found:
    """A workflow in one of the formats, or in both."""

    prompt: object = None
    """In API format, perhaps in the form that is submitted over HTTP; None if there is none."""
    drawing: Mapping[str, object] | None = None
    """In the editor's format."""


def unwrap(value: object) -> Found:
    """Find the workflow in parsed JSON; what is not recognised counts as API format."""
    return _find(value, _DEEPEST) or Found(prompt=value)


def is_drawing(value: object) -> bool:
    """Say if a value is a workflow in the editor's format."""
    if not is_object(value):
        return False
    nodes = value.get("nodes")
    return is_list(nodes) or ("links" in value and is_object(nodes) and "class_type" not in nodes)


def _find(value: object, depth: int) -> Found | None:
    if isinstance(value, str):
        value = _parse(value)
    if not is_object(value) or not depth:
        return None
    if is_drawing(value):
        return Found(drawing=value)
    if any(is_object(item) and "class_type" in item for item in value.values()):
        return Found(prompt=value)
    found = (_find(value[key], depth - 1) for key in _KEYS if key in value)
    first = next((item for item in found if item), None)
    if first is None or first.drawing is not None:
        return first
    return replace(first, drawing=_drawing_beside(value))


def _drawing_beside(value: Mapping[str, object]) -> Mapping[str, object] | None:
    """Return the editor's description of the graph that is beside it, or None."""
    extra = value.get("extra_data")
    info = extra.get("extra_pnginfo") if is_object(extra) else None
    for given in (value.get("workflow"), info.get("workflow") if is_object(info) else None):
        if is_object(given) and is_drawing(given):
            return given
    return None


def _parse(text: str) -> object:
    """Return the JSON in a text; None if it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        return parse_json(text)
    except InvalidWorkflowError:
        return None
