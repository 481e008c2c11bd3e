"""Memory that is not there is told from what libraries raise, and named."""

import errno
import os

import numpy as np
import pytest
import torch

from nodegraph.runtime.out_of_memory import (
    OutOfMemoryError,
    WeightsMemoryError,
    attribute_to_weights,
    is_out_of_memory,
    wanted_bytes,
)

CUDA = (
    "CUDA out of memory. Tried to allocate 20.50 GiB. GPU 0 has a total capacity of 79.10 GiB"
    " of which 5.00 GiB is free."
)


def raised(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is for the test to say
        call()
    return caught.value


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: torch.zeros(2**46), 2**48),
        (lambda: torch.zeros(2**62, 2**10), None),
        (lambda: np.zeros(2**45), 2**48),
        (lambda: bytearray(2**60), None),
    ],
    ids=["torch", "torch beyond counting", "numpy", "python"],
)
def test_each_library_says_it_in_its_own_way(call, wanted):
    error = raised(call)

    assert is_out_of_memory(error)
    assert wanted_bytes(error) == wanted


def test_an_accelerators_and_the_systems_way():
    card = torch.OutOfMemoryError(CUDA)

    assert is_out_of_memory(card)
    assert wanted_bytes(card) == int(20.5 * 2**30)
    assert is_out_of_memory(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", None),
        ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", None),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", None),
        ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", None),
        ("HIP out of memory. Tried to allocate 2.00 GiB.", 2**31),
        ("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`", None),
        ("miopenStatusAllocFailed", None),
        ("XPU out of memory. Tried to allocate 512.00 MiB.", 2**29),
        ("level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)", None),
        ("level_zero backend failed with error: 40 (UR_RESULT_ERROR_OUT_OF_RESOURCES)", None),
        ("MPS backend out of memory (MPS allocated: 9 GB). Tried to allocate 1.00 GB", 2**30),
        ("Invalid buffer size: 12.00 GB", 12 * 2**30),
    ],
)
def test_libraries_of_accelerators_say_it_by_their_codes(text, wanted):
    error = RuntimeError(text)

    assert is_out_of_memory(error)
    assert wanted_bytes(error) == wanted


def test_other_failures_are_something_else():
    assert not is_out_of_memory(raised(lambda: torch.zeros(2) @ torch.zeros(3)))
    assert not is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED"))
    assert not is_out_of_memory(ValueError("out of memory"))
    assert not is_out_of_memory(FileNotFoundError(errno.ENOENT, "no file"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CUDA, "X ran out of memory: it asked for 20.5 GiB at once."),
        (
            "you tried to allocate 512 bytes.",
            "X ran out of memory: it asked for 512 bytes at once.",
        ),
        ("", "X ran out of memory."),
    ],
)
def test_says_how_much_was_wanted_if_that_is_known(text, said):
    error = OutOfMemoryError("3", "X", MemoryError(text))

    assert error.message == said
    assert error.as_dict()["code"] == "out_of_memory"
    assert error.details["exception_type"] == "MemoryError"


def test_weights_that_do_not_fit_have_advice_of_their_own():
    with pytest.raises(WeightsMemoryError) as caught, attribute_to_weights():
        raise torch.OutOfMemoryError(CUDA)

    assert is_out_of_memory(caught.value)
    error = OutOfMemoryError("3", "X", caught.value)
    assert error.message == (
        "X ran out of memory for the weights of a model: it asked for 20.5 GiB at once."
    )
    assert error.hint is not None
    assert "weight_dtype" in error.hint
    assert "quantized file" in error.hint
    assert "width" not in error.hint
    assert error.details["exception_type"] == "OutOfMemoryError"
    images = OutOfMemoryError("3", "X", torch.OutOfMemoryError(CUDA))
    assert images.hint is not None
    assert "smaller width" in images.hint


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_failures_of_loading_stay_what_they_are(error):
    with pytest.raises(type(error)) as caught, attribute_to_weights():
        raise error

    assert caught.value is error
