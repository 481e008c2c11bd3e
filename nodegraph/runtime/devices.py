"""The device that computes, and the facts that differ between types of device.

Devices are chosen and asked through `torch.accelerator`, so that CUDA, ROCm, XPU, MPS and the
devices of other packages take one path. The only core module that may import torch.
"""

import os
from collections.abc import Callable
from typing import Any, cast

import torch

_HALF_PRECISION_TYPES = frozenset({"cuda"})
"""Types of device where networks compute in half precision; ROCm's type is `cuda`, too."""
_GRAPH_TYPES = frozenset({"cuda"})
"""Types of device whose work torch can record as a graph and replay."""
_HOST_MEMORY_TYPES = frozenset({"cpu", "mps"})
"""Types of device that compute in the machine's own memory."""


def default_device() -> torch.device:
    """Return the accelerator that torch finds and can use, else the CPU."""
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def computes_in_half(device: torch.device) -> bool:
    """Return True if networks compute in half precision on a device."""
    return device.type in _HALF_PRECISION_TYPES


def captures_graphs(device: torch.device) -> bool:
    """Return True if a device's work can be recorded as a graph and replayed."""
    return device.type in _GRAPH_TYPES


def free_bytes(device: torch.device | None = None) -> int:
    """Return the free memory of a device, the default one if None; for the CPU, the machine's."""
    return memory_bytes(device)[0]


def memory_bytes(device: torch.device | None = None) -> tuple[int, int]:
    """Return the free and the total memory of a device in bytes; for the CPU, the machine's."""
    device = default_device() if device is None else device
    if device.type not in _HOST_MEMORY_TYPES:
        return torch.accelerator.get_memory_info(device)
    page = os.sysconf("SC_PAGE_SIZE")
    return os.sysconf("SC_AVPHYS_PAGES") * page, os.sysconf("SC_PHYS_PAGES") * page


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


def device_name(device: torch.device) -> str:
    """Return the name that a device's maker gave it; its type where torch knows no other."""
    name: Callable[[torch.device], str] | None = None
    if device.type != "cpu":
        name = cast("Any", getattr(torch.get_device_module(device), "get_device_name", None))
    return name(device) if name else device.type
