"""What is told of a node's failure: the error, where in its code, and what the node was given."""

import traceback
from typing import Any

from nodegraph.errors import NodeGraphError, shown
from nodegraph.graph import Graph, Link

_MOST_LINES = 50


def described(error: NodeGraphError, graph: Graph) -> dict[str, Any]:
    """An error as JSON, with `traceback` and `current_inputs` among its details."""
    told = error.as_dict()
    cause = error.__cause__
    lines = traceback.format_tb(cause.__traceback__)[-_MOST_LINES:] if cause else []
    more = {"traceback": lines, "current_inputs": _inputs(error, graph)}
    return {**told, "details": {**error.details, **more}}


def _inputs(error: NodeGraphError, graph: Graph) -> dict[str, list[str]]:
    node = graph.nodes.get(error.node_id or "")
    return {name: [_given(value)] for name, value in node.inputs.items()} if node else {}


def _given(value: object) -> str:
    if isinstance(value, Link):
        return f"output {value.output} of node {shown(value.source)}"
    return value if isinstance(value, str) else shown(value)
