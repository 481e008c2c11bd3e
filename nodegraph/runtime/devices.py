"""The device that computes; the only core module that may import torch."""

import os

import torch


def free_bytes() -> int:
    """Return the free memory of the default device in bytes; for the CPU, the machine's."""
    device = default_device()
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def default_device() -> torch.device:
    """Return CUDA if there is one, else MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
