"""The ends of prompts that did not succeed, as errors of ours."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nodegraph.errors import NodeGraphError
from nodegraph.graph.json_values import is_list, is_object
from server.workers.comfyui.errors import ComfyNodeError, ComfyRefusedError

_LONGEST = 2000
"""The most characters of a message."""
_MOST_LINES = 50
_OK = 200


def refusal_of(server: str, status: int, reply: Mapping[str, Any]) -> NodeGraphError | None:
    """Return the error of a prompt that the server did not take, or not whole; None if it did.

    Args:
        server: its name.
        status: of its answer to `POST /prompt`.
        reply: the answer.
    """
    errors = reply.get("node_errors")
    problems = list(_problems(errors if is_object(errors) else {}))
    if status == _OK and not problems:
        return None
    error = reply.get("error")
    facts = error if is_object(error) else {"message": error}
    reason = _join(facts.get("message"), facts.get("details"))
    if problems:
        reason = "; ".join(text for _, text in problems)
    node = problems[0][0] if problems else None
    details = {"error": facts, "node_errors": errors if is_object(errors) else {}}
    return ComfyRefusedError(server, _cut(reason or "it does not say why."), node, details)


def failure_of(
    server: str, data: Mapping[str, Any], type_of: Callable[[str], str]
) -> ComfyNodeError:
    """Return the error of a node that failed.

    Args:
        server: its name.
        data: of the message `execution_error`.
        type_of: returns the type of a node.
    """
    node, kind = data.get("node_id"), data.get("node_type")
    raised = data.get("exception_type")
    lines = data.get("traceback")
    inputs = data.get("current_inputs")
    details: dict[str, object] = {
        "class_type": kind if isinstance(kind, str) else type_of(str(node)),
        "exception_type": raised if isinstance(raised, str) else "",
        "traceback": [_cut(str(line)) for line in lines[-_MOST_LINES:]] if is_list(lines) else [],
        "current_inputs": _short_inputs(inputs) if is_object(inputs) else {},
    }
    reason = _cut(str(data.get("exception_message") or "it does not say why.")).strip()
    return ComfyNodeError(server, str(node) if node is not None else None, reason, details)


def _problems(errors: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield each node with problems, and the first of them."""
    for node, about in errors.items():
        found = about.get("errors") if is_object(about) else None
        first = found[0] if is_list(found) and found else None
        if is_object(first):
            yield node, f"node {node}: {_join(first.get('message'), first.get('details'))}"


def _join(*texts: object) -> str:
    return ": ".join(text.strip() for text in texts if isinstance(text, str) and text.strip())


def _short_inputs(inputs: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the inputs of a node, each value as a short text."""
    return {
        name: [_cut(str(item)) for item in (value if is_list(value) else [value])[:10]]
        for name, value in inputs.items()
    }


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
