"""What this process computes on."""

import os
from typing import Any


def described() -> dict[str, Any]:
    """The device as ComfyUI's clients expect it; imports torch.

    Memory is in bytes: the card's, or the machine's where there is none.
    """
    import torch

    from nodegraph.devices import default_device

    device = default_device()
    facts: dict[str, Any] = {
        "type": device.type,
        "index": device.index or 0,
        "torch": torch.__version__,
    }
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
        return facts | {"name": name, "vram_total": total, "vram_free": free}
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return facts | {"name": device.type, "vram_total": total, "vram_free": free}
