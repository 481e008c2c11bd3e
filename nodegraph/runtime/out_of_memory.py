"""Out-of-memory errors, recognised by the messages of libraries that are not imported here."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from traceback import clear_frames

from nodegraph.errors import NodeGraphError
from nodegraph.runtime.sizes import PREFIXES, format_size

_TEXTS = (
    "out of memory",  # allocators, drivers and torch: CUDA, HIP, XPU and MPS
    "(can't|cannot) allocate memory",
    "Storage size calculation overflowed",
    "cudaErrorMemoryAllocation|hipErrorOutOfMemory",
    "(CU|HIP)BLAS_STATUS_(ALLOC_FAILED|NOT_INITIALIZED)",  # the latter if there is no room for it
    "CUDNN_STATUS_(ALLOC_FAILED|INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED)",
    "miopenStatusAllocFailed|rocblas_status_memory_error",
    "UR_RESULT_ERROR_OUT_OF_((DEVICE|HOST)_MEMORY|RESOURCES)",  # XPU
    "Invalid buffer size",  # MPS, for a tensor larger than any buffer may be
)
_SAYS = re.compile("|".join(_TEXTS), re.IGNORECASE)
_WANTED = re.compile(
    r"(?:(?:tried|unable) to allocate|Invalid buffer size:) ([\d.]+) ?([KMGTPE]i?)?B", re.IGNORECASE
)
_SMALLER_IMAGES = (
    "Use a smaller width, height or batch size; to encode or decode large images,"
    " the tiled VAE nodes."
)
_SMALLER_WEIGHTS = (
    "Load the model in a smaller dtype (such as fp8, by `weight_dtype`), or use a quantized file"
    " (GGUF or fp8); fewer models in one workflow help, too."
)


class WeightsMemoryError(MemoryError):
    """The weights of a model do not fit into memory; the error of the allocator is chained."""


class OutOfMemoryError(NodeGraphError):
    """A node asked for more memory than there is; the cause is chained."""

    code = "out_of_memory"

    def __init__(self, node_id: str, type_name: str, cause: BaseException) -> None:
        wanted = wanted_bytes(cause)
        asked = "" if wanted is None else f": it asked for {format_size(wanted)} at once"
        raised = cause.__cause__ or cause if isinstance(cause, WeightsMemoryError) else cause
        details = {"class_type": type_name, "exception_type": type(raised).__qualname__}
        weights = isinstance(cause, WeightsMemoryError)
        purpose = " for the weights of a model" if weights else ""
        super().__init__(
            f"{type_name} ran out of memory{purpose}{asked}.",
            hint=_SMALLER_WEIGHTS if weights else _SMALLER_IMAGES,
            node_id=node_id,
            details=details if wanted is None else {**details, "wanted_bytes": wanted},
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Say if an error means out of memory: by type for Python and NumPy, else by message."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError | OSError) and bool(_SAYS.search(str(error)))


def let_go(error: BaseException) -> None:
    """Let go of what the functions that an error came through hold: memory is short."""
    found: BaseException | None = error
    while found is not None:
        clear_frames(found.__traceback__)
        found = found.__cause__ or found.__context__


@contextmanager
def attribute_to_weights() -> Generator[None]:
    """Let an out-of-memory error in the block say that the weights of a model do not fit.

    Raises:
        WeightsMemoryError: there was not enough memory.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, WeightsMemoryError) or not is_out_of_memory(error):
            raise
        raise WeightsMemoryError(str(error)) from error


def wanted_bytes(error: BaseException) -> int | None:
    """Return the bytes that were asked for, as the message rounds them; None if it names none."""
    match = _WANTED.search(str(error))
    if match is None:
        return None
    prefix = (match[2] or "")[:1].upper()
    return int(float(match[1].rstrip(".")) * 1024 ** PREFIXES.index(prefix))
