"""The device that this process computes on."""

import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

_FOR_GOOD = re.compile(
    r"illegal memory access|device-side assert|unspecified launch failure|misaligned address"
    r"|illegal instruction|illegal address|uncorrectable ECC error|launch timed out"
    r"|hipErrorIllegalAddress|hipErrorLaunchFailure|UR_RESULT_ERROR_DEVICE_LOST",
    re.IGNORECASE,
)
"""Errors after which a device computes nothing more for the process."""


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


def is_device_lost(error: BaseException) -> bool:
    """Return True if an error, or one behind it, ends all use of the device in this process."""
    return any(
        isinstance(one, RuntimeError) and _FOR_GOOD.search(str(one)) for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, then the one that it was raised from, and so on."""
    seen: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in seen:
        yield following
        seen.append(following)
        following = following.__cause__ or following.__context__


def memory_in_use() -> int | None:
    """Return the used bytes of the GPU, by all processes; None if no GPU is in use here."""
    if "torch" not in sys.modules:
        return None
    from nodegraph.runtime import devices

    return devices.memory_in_use()
