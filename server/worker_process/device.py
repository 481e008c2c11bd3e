"""The device that this process computes on, and the memory of both."""

import os
import sys
from importlib.metadata import version
from typing import Any


def machine() -> dict[str, Any]:
    """Return the processor and its memory in bytes, as ComfyUI describes a device; no torch."""
    size = os.sysconf("SC_PAGE_SIZE")
    return {
        "name": "cpu",
        "type": "cpu",
        "index": 0,
        "vram_total": os.sysconf("SC_PHYS_PAGES") * size,
        "vram_free": os.sysconf("SC_AVPHYS_PAGES") * size,
        "torch": version("torch"),
    }


def describe_device() -> dict[str, Any]:
    """Return the device that torch computes on and its memory, in the same form; imports torch."""
    from nodegraph.runtime.devices import default_device, device_name, memory_bytes

    device = default_device()
    facts = machine() | {"name": device.type, "type": device.type, "index": device.index or 0}
    if device.type != "cpu":
        free, total = memory_bytes(device)
        facts |= {"name": device_name(device), "vram_total": total, "vram_free": free}
    return facts


def memory_in_use() -> int | None:
    """Return the used bytes of the GPU, by all processes; None if no GPU is in use here."""
    if "torch" not in sys.modules:
        return None
    from nodegraph.runtime import devices

    return devices.memory_in_use()


def return_freed_memory() -> None:
    """Have the C library give memory that nothing uses any more back to the system.

    Else it keeps what lies between pieces that are in use: hundreds of MiB after many runs on
    several threads. Only glibc has a function for that.
    """
    if sys.platform != "linux":
        return
    import ctypes  # imported here because only Linux needs it

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
