"""The device that computes, and the facts that differ between types of device.

Devices are chosen and asked through `torch.accelerator`, so that CUDA, ROCm, XPU, MPS and the
devices of other packages take one path. The only core module that may import torch.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias, cast

import torch

_log = logging.getLogger(__name__)

Device: TypeAlias = torch.device
"""A device, for code that must not import torch."""

_BFLOAT16_SINCE: Mapping[str, tuple[int, int]] = {"cuda": (8, 0)}
"""Types of device where networks compute in half precision, and the first capability that has
bfloat16: on NVIDIA's it is Ampere. ROCm's type is `cuda`, too, and all its capabilities are above.
"""
_CHANNELS_LAST_SINCE: Mapping[str, tuple[int, int]] = {"nvidia": (7, 0)}
"""Makers whose kernels for convolutions want channels last, and the first capability that does.

Tensor cores read channels last, and cuDNN moves all else there and back (NVIDIA Deep Learning
Performance, Convolutional Layers User's Guide, "Tensor Layouts"). AMD's library takes channels
first unless it is told otherwise.
"""
_FP8_SINCE: Mapping[str, tuple[int, int]] = {"nvidia": (8, 9)}
"""Makers whose devices multiply matrices in fp8 (e4m3fn), and the first capability that does: Ada.

AMD's MI300 takes other bit patterns (e4m3fnuz).
"""
_CUDA_TYPES = frozenset({"cuda"})
"""Types of device that torch reaches through CUDA or ROCm."""
_GRAPH_TYPES = frozenset({"cuda"})
"""Types of device whose work torch can record as a graph and replay."""
_MAKERS: Mapping[str, str] = {"cuda": "nvidia", "xpu": "intel", "mps": "apple"}
"""Makers of devices by type; under ROCm, AMD's have NVIDIA's."""
_HOST_MEMORY_TYPES = frozenset({"cpu", "mps"})
"""Types of device that compute in the machine's own memory."""
_HOST_TYPES = frozenset({"cpu", "meta"})
"""Types of device on which the calling thread itself computes, or nobody."""


def default_device() -> torch.device:
    """Return the accelerator that torch finds and can use, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def device_named(name: str) -> torch.device:
    """Return the device of a name such as `cuda:0`."""
    return torch.device(name)


def host_device() -> torch.device:
    """Return the device whose memory is the machine's."""
    return torch.device("cpu")


def is_accelerator(device: torch.device) -> bool:
    """Return True if a device computes beside the processor."""
    return device.type not in _HOST_TYPES


def has_own_memory(device: torch.device) -> bool:
    """Return True if a device has memory beside the machine's."""
    return is_accelerator(device) and device.type not in _HOST_MEMORY_TYPES


def computes_in_half(device: torch.device) -> bool:
    """Return True if networks compute in half precision on a device."""
    return device.type in _BFLOAT16_SINCE


def has_bfloat16(device: torch.device) -> bool:
    """Return True if networks compute in bfloat16 on a device, which torch emulates on others."""
    since = _BFLOAT16_SINCE.get(device.type)
    return (
        since is not None and torch.get_device_module(device).get_device_capability(device) >= since
    )


def multiplies_fp8(device: torch.device) -> bool:
    """Return True if a device multiplies matrices that are in fp8 (e4m3fn), without unpacking."""
    since = _FP8_SINCE.get(device_maker(device))
    return (
        since is not None and torch.get_device_module(device).get_device_capability(device) >= since
    )


def computing_dtype(
    device: torch.device, half_dtype: torch.dtype, instead: torch.dtype = torch.float16
) -> torch.dtype:
    """Return the precision that a network computes in on a device.

    Args:
        device: where it computes.
        half_dtype: the network's own half precision, or float32.
        instead: takes the place of bfloat16 where the device has none.

    Returns:
        `half_dtype`, or `instead` of it; float32 where networks do not compute in half precision.
    """
    if not computes_in_half(device):
        return torch.float32
    if half_dtype == torch.bfloat16 and not has_bfloat16(device):
        return instead
    return half_dtype


def prefers_channels_last(device: torch.device) -> bool:
    """Return True if convolutions are fastest with their channels last in memory."""
    since = _CHANNELS_LAST_SINCE.get(device_maker(device))
    return (
        since is not None and torch.get_device_module(device).get_device_capability(device) >= since
    )


def device_maker(device: torch.device) -> str:
    """Return the maker of a device: `nvidia`, `amd`, `intel` or `apple`; else nothing."""
    maker = _MAKERS.get(device.type, "")
    return "amd" if maker == "nvidia" and torch.version.hip else maker


def is_cuda(device: torch.device) -> bool:
    """Return True if a device is one of CUDA or ROCm."""
    return device.type in _CUDA_TYPES


def captures_graphs(device: torch.device) -> bool:
    """Return True if a device's work can be recorded as a graph and replayed."""
    return device.type in _GRAPH_TYPES


def pinned_bytes(nbytes: int, device: torch.device) -> torch.Tensor:
    """Return memory of the host, [nbytes] uint8, that a device reads in the background.

    It is pinned, unless the device or the machine refuses: then copies wait for each other.
    """
    if device.type not in _HOST_MEMORY_TYPES:
        try:
            return torch.empty(nbytes, dtype=torch.uint8, pin_memory=True)
        except RuntimeError:
            _tell_unpinned()
    return torch.empty(nbytes, dtype=torch.uint8)


@cache
def _tell_unpinned() -> None:
    """Log that there is no pinned memory, once in a process."""
    _log.info("The host has no pinned memory to give: copies to the device are slower.")


def whole_storage(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return all memory that a tensor looks at, [n] of its dtype; None if it is no plain memory."""
    if type(tensor) is not torch.Tensor or tensor.layout != torch.strided or tensor.is_quantized:
        return None
    if tensor.is_conj() or tensor.is_neg() or tensor.untyped_storage().nbytes() % tensor.itemsize:
        return None
    count = tensor.untyped_storage().nbytes() // tensor.itemsize
    return tensor.detach().as_strided((count,), (1,), 0)


def view_alike(tensor: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """Return a tensor that looks at a storage's copy as another one does at the storage."""
    same = whole if whole.dtype == tensor.dtype else whole.view(tensor.dtype)
    return same.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())


def tensor_bytes(tensor: torch.Tensor) -> Any:
    """Return the numbers of a tensor, in order, as a NumPy array of their bytes, [n] uint8."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()


def tensor_of(data: Any, dtype: str, shape: Sequence[int]) -> torch.Tensor:
    """Return the tensor that `tensor_bytes` was given, on the host.

    Args:
        data: the array.
        dtype: the name of its dtype, such as `float32`.
        shape: its shape.

    Raises:
        AttributeError: there is no such dtype.
        TypeError: the name is that of something else.
        RuntimeError: the numbers are too few or too many for the shape.
    """
    kind: Any = getattr(torch, dtype)
    return torch.tensor(data, dtype=torch.uint8).view(kind).reshape(list(shape))


def side_stream(device: torch.device) -> torch.Stream | None:
    """Return a new queue of work beside that which computes; None where there is but one."""
    if device.type in _HOST_MEMORY_TYPES:
        return None
    try:
        return torch.Stream(device=device)
    except RuntimeError:
        return None


def free_bytes(device: torch.device | None = None) -> int:
    """Return the memory that tensors can still take, on the default device if None.

    That is what is free, for the CPU in the machine, and what torch holds unused.
    """
    device = default_device() if device is None else device
    return memory_bytes(device)[0] + unused_bytes(device)


def unused_bytes(device: torch.device) -> int:
    """Return the bytes that torch's allocator has reserved on a device and no tensor uses."""
    if device.type in _HOST_MEMORY_TYPES:
        return 0
    memory = torch.accelerator
    return memory.memory_reserved(device) - memory.memory_allocated(device)


def memory_bytes(device: torch.device | None = None) -> tuple[int, int]:
    """Return the free and the total memory of a device in bytes; for the CPU, the machine's."""
    device = default_device() if device is None else device
    if device.type not in _HOST_MEMORY_TYPES:
        return torch.accelerator.get_memory_info(device)
    page = os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page


def own_memory_bytes() -> int | None:
    """Return the total memory of the accelerator; None if networks compute in the machine's."""
    device = default_device()
    return None if device.type in _HOST_MEMORY_TYPES else memory_bytes(device)[1]


def memory_in_use() -> int | None:
    """Return the used bytes of the accelerator, by all processes; None if it is not in use here."""
    device = default_device()
    if device.type in _HOST_MEMORY_TYPES or not torch.get_device_module(device).is_initialized():
        return None
    free, total = memory_bytes(device)
    return total - free


def release_unused() -> None:
    """Give memory that the default device's allocator holds unused back to the device."""
    device = default_device()
    if device.type != "cpu":
        torch.get_device_module(device).empty_cache()


def computing_environment() -> str:
    """Return what numbers depend on beside the code of nodes: torch's version and the device."""
    device = default_device()
    return f"torch {torch.__version__}, {device.type} {device_name(device)}"


def device_name(device: torch.device) -> str:
    """Return the name that a device's maker gave it; its type where torch knows no other."""
    name: Callable[[torch.device], str] | None = None
    if device.type != "cpu":
        name = cast("Any", getattr(torch.get_device_module(device), "get_device_name", None))
    return name(device) if name else device.type
