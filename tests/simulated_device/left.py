"""What a process holds: to be compared before and after much work."""

import gc
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from tests.simulated_device.device import SimulatedDevice


@dataclass(frozen=True)
class Left:
    """What a process holds once its engine has let go of what it may."""

    rss: int
    """Bytes of the machine's memory."""
    device: int
    """Bytes of the device's."""
    objects: int
    """Objects that the garbage collector follows."""
    threads: int
    files: int
    """Open file descriptors."""

    @classmethod
    def now(cls, simulated: SimulatedDevice | None) -> "Left":
        """Measure this process."""
        gc.collect()
        return cls(
            rss=int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            device=simulated.counters().live_bytes if simulated else 0,
            objects=len(gc.get_objects()),
            threads=threading.active_count(),
            files=len(list(Path("/proc/self/fd").iterdir())),
        )


class AnySoak(Protocol):
    """Prompts for something that computes them, drawn by a seed."""

    outcomes: Counter[str]
    """How many prompts ended how."""

    def run(self, count: int) -> None:
        """Compute so many more."""
        ...

    def probe(self) -> Tensor:
        """Compute one that is the same each time."""
        ...

    def left(self) -> object:
        """Measure what is held now."""
        ...


def print_quarters(soak: AnySoak, count: int) -> None:
    """Print what is held after each quarter of a soak, and at last how far probes drift."""
    probes = [soak.probe()]
    print(f"start: {soak.left()}", flush=True)
    for quarter in range(1, 5):
        started = time.monotonic()
        soak.run(count // 4)
        probes.append(soak.probe())
        seconds = time.monotonic() - started
        print(f"{quarter * count // 4}: {soak.left()}, {seconds:.0f} s more", flush=True)
    off = max(float((each - probes[0]).abs().max()) for each in probes)
    print(f"probes: off by {off}; {dict(soak.outcomes)}")
