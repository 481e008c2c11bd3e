"""Calls the code of nodes, and turns whatever it raises into errors that name the node."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from nodegraph.errors import NodeExecutionError, NodeGraphError
from nodegraph.graph.graph import Node
from nodegraph.runtime.out_of_memory import OutOfMemoryError, is_out_of_memory

P = ParamSpec("P")
T = TypeVar("T")


def call_node_code(node: Node, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call code of a node type on behalf of `node`.

    Raises:
        NodeGraphError: what it raised, with the node's id filled in.
        OutOfMemoryError: there was not enough memory for it; what it raised is chained.
        NodeExecutionError: it raised anything else, which is chained.
    """
    try:
        return call(*args, **kwargs)
    except NodeGraphError as error:
        if error.node_id is None:
            error.node_id = node.id
        raise
    except Exception as error:  # a node may raise anything
        kind = OutOfMemoryError if is_out_of_memory(error) else NodeExecutionError
        raise kind(node.id, node.type_name, error) from error
