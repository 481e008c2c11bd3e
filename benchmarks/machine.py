"""The machine and the versions that figures were made with, and the use of it by processes."""

import os
import re
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nodegraph.runtime.devices import default_device, device_name, is_accelerator, memory_bytes

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "aiohttp")


def machine() -> dict[str, object]:
    """Return the processor, the accelerator if there is one, and the load at this moment."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    device = default_device()
    gpu = None
    if is_accelerator(device):
        gpu = {"name": device_name(device), "bytes": memory_bytes(device)[1]}
    return {
        "cpu": names[0] if names else os.uname().machine,
        "cores": os.cpu_count(),
        "memory_bytes": pages,
        "gpu": gpu,
        "load": [round(each, 2) for each in os.getloadavg()],
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of this repository's commit and of the packages that count."""
    found = {"python": sys.version.split()[0], "nodegraph": _commit()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def device_kind() -> str:
    """Return a short name for the device that computes: `cpu`, or such as `h200` or `rtx-4090`."""
    device = default_device()
    if not is_accelerator(device):
        return "cpu"
    words = re.findall(r"[a-z0-9]+", device_name(device).lower())
    plain = [word for word in words if word not in ("nvidia", "amd", "geforce", "instinct")]
    return "-".join(plain[:2]) or device.type


def memory(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def processor(pid: int) -> float:
    """Return the processor seconds that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anonymous() -> int:
    """Return this process's anonymous memory in bytes: mapped files are not in it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def children_seconds() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(_ROOT), *words], check=False, capture_output=True, text=True
        )
        return done.stdout.strip()

    commit = git("rev-parse", "--short", "HEAD")
    if not commit:
        return "unknown"
    changed = git("status", "--porcelain", "--", ":!benchmarks/results", ":!docs")
    return f"{commit} and changes" if changed else commit
