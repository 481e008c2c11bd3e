"""What this process computes on."""

import os
import sys
from importlib.metadata import version
from typing import Any


def machine() -> dict[str, Any]:
    """The processor and its memory in bytes, as ComfyUI's clients expect a device; at once."""
    size = os.sysconf("SC_PAGE_SIZE")
    return {
        "name": "cpu",
        "type": "cpu",
        "index": 0,
        "vram_total": os.sysconf("SC_PHYS_PAGES") * size,
        "vram_free": os.sysconf("SC_AVPHYS_PAGES") * size,
        "torch": version("torch"),
    }


def described() -> dict[str, Any]:
    """The device that torch computes on, and its memory; imports torch."""
    import torch

    from nodegraph.devices import default_device

    device = default_device()
    facts = machine() | {"name": device.type, "type": device.type, "index": device.index or 0}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        facts |= {"name": name, "vram_total": total, "vram_free": free}
    return facts


def memory_in_use() -> int | None:
    """Bytes of the card that are taken, by whomever; None where nothing computes on one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    free, total = torch.cuda.mem_get_info()
    return total - free
