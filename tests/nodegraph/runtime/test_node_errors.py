"""Errors of nodes' code are named after what they mean for the next run."""

import pytest
import torch

from nodegraph.errors import NodeExecutionError, NodeGraphError
from nodegraph.graph.graph import Node
from nodegraph.runtime.node_errors import DeviceLostError, call_node_code, is_device_lost
from nodegraph.runtime.out_of_memory import OutOfMemoryError

NODE = Node("3", "Sample", {})


def raised(cause):
    def fail():
        raise cause

    with pytest.raises(NodeGraphError, match="Sample") as caught:
        call_node_code(NODE, fail)
    assert caught.value.__cause__ is cause
    assert caught.value.node_id == "3"
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: an illegal memory access was encountered",
        "CUDA error: unspecified launch failure",
        "CUDA error: hardware stack error",
        "CUDA error: uncorrectable NVLink error detected during the execution",
        "CUDA error: unknown error",
        "HIP error: hipErrorNoDevice",
        "level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
    ],
)
def test_a_device_that_is_lost_has_an_error_that_says_so(text):
    error = raised(RuntimeError(text))

    assert isinstance(error, DeviceLostError)
    assert is_device_lost(error)
    assert text in error.message
    assert "again" in error.hint


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (ValueError("unspecified launch failure"), NodeExecutionError),
        (RuntimeError("CUDA error: invalid argument"), NodeExecutionError),
        (torch.OutOfMemoryError("CUDA out of memory."), OutOfMemoryError),
    ],
)
def test_other_errors_leave_the_device_in_use(cause, kind):
    error = raised(cause)

    assert type(error) is kind
    assert not is_device_lost(error)


def test_a_loss_is_found_behind_what_was_raised_from_it():
    lost = RuntimeError("CUDA error: misaligned address")
    error = RuntimeError("no such cache")
    error.__context__ = lost
    lost.__context__ = error

    assert isinstance(raised(error), DeviceLostError)
