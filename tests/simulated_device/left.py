"""What a process holds: to be compared before and after much work."""

import gc
import os
import threading
from dataclasses import dataclass
from pathlib import Path

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
