"""The report of a node's failure: the error, its traceback, and the inputs of the node."""

import traceback
from typing import Any

from nodegraph.errors import NodeGraphError, short_repr
from nodegraph.graph import Graph, Link

_MOST_LINES = 50


def describe_failure(error: NodeGraphError, graph: Graph) -> dict[str, Any]:
    """Return an error as JSON, with `traceback` and `current_inputs` among its details."""
    body = error.as_dict()
    cause = error.__cause__
    lines = traceback.format_tb(cause.__traceback__)[-_MOST_LINES:] if cause else []
    more = {"traceback": lines, "current_inputs": _inputs(error, graph)}
    return {**body, "details": {**error.details, **more}}


def _inputs(error: NodeGraphError, graph: Graph) -> dict[str, list[str]]:
    node = graph.nodes.get(error.node_id or "")
    return {name: [_describe_input(value)] for name, value in node.inputs.items()} if node else {}


def _describe_input(value: object) -> str:
    if isinstance(value, Link):
        return f"output {value.output} of node {short_repr(value.source)}"
    return value if isinstance(value, str) else short_repr(value)
