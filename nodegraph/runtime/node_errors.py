"""Calls the code of nodes, and turns whatever it raises into errors that name the node."""

import re
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

from nodegraph.errors import NodeExecutionError, NodeGraphError
from nodegraph.graph.graph import Node
from nodegraph.runtime.out_of_memory import OutOfMemoryError, is_out_of_memory

P = ParamSpec("P")
T = TypeVar("T")

_FOR_GOOD = re.compile(
    r"illegal memory access|device-side assert|unspecified launch failure|misaligned address"
    r"|illegal instruction|illegal address|invalid program counter|hardware stack error"
    r"|not supported on global/shared address space|uncorrectable (ECC|NVLink) error"
    r"|launch timed out|CUDA error: unknown error|no CUDA-capable device"
    r"|hipErrorIllegalAddress|hipErrorLaunchFailure|hipErrorNoDevice|UR_RESULT_ERROR_DEVICE_LOST",
    re.IGNORECASE,
)
"""Errors after which a device computes nothing more for the process.

Of CUDA's they are those after which the process has to end (CUDA Runtime API, `cudaError`), and
those of a card that has left.
"""


class DeviceLostError(NodeGraphError):
    """The device computes nothing more for this process; the cause is chained."""

    code = "device_lost"

    def __init__(self, node_id: str, type_name: str, cause: BaseException) -> None:
        super().__init__(
            f"{type_name} lost the device: {cause}",
            hint="Run the workflow again: `nodegraph serve` has started a new process for it by"
            " then. If it is lost again, look at the driver's messages (`dmesg`).",
            node_id=node_id,
            details={"class_type": type_name, "exception_type": type(cause).__qualname__},
        )


def call_node_code(node: Node, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call code of a node type on behalf of `node`.

    Raises:
        NodeGraphError: what it raised, with the node's id filled in.
        OutOfMemoryError: there was not enough memory for it; what it raised is chained.
        DeviceLostError: the device computes nothing more; what it raised is chained.
        NodeExecutionError: it raised anything else, which is chained.
    """
    try:
        return call(*args, **kwargs)
    except NodeGraphError as error:
        if error.node_id is None:
            error.node_id = node.id
        raise
    except Exception as error:  # a node may raise anything
        raise _error_class(error)(node.id, node.type_name, error) from error


def is_device_lost(error: BaseException) -> bool:
    """Return True if an error, or one behind it, ends all use of the device in this process."""
    return any(
        isinstance(one, RuntimeError) and _FOR_GOOD.search(str(one)) for one in _chain(error)
    )


def _error_class(
    error: Exception,
) -> type[OutOfMemoryError] | type[DeviceLostError] | type[NodeExecutionError]:
    if is_out_of_memory(error):
        return OutOfMemoryError
    return DeviceLostError if is_device_lost(error) else NodeExecutionError


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then the one that it was raised from, and so on."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        yield following
        seen.append(following)
        following = following.__cause__ or following.__context__
