"""The simulated accelerator in Python: what it counts, and how a test sets its limits.

A process has at most one. torch knows no way to take a device back, so it is switched: off,
`torch.accelerator` has no device to offer, and nothing can be allocated there.
"""

import atexit
import gc
import json
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch.utils import backend_registration

from tests.simulated_device.build import NAME as MODULE
from tests.simulated_device.build import built_library

NAME = "simulated"
UNLIMITED = 1 << 50
KINDS = ("to device", "to host", "sync")
_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Counters:
    """What the device did since the last reset, and its memory now; sizes in bytes."""

    ops: int
    """Kernels that compute, copies within the device among them."""
    views: int
    """Ops that only look at memory in another way."""
    allocations: int
    refusals: int
    """Allocations that ended in `torch.OutOfMemoryError`."""
    copies_to_device: int
    bytes_to_device: int
    copies_to_host: int
    bytes_to_host: int
    """A number that Python reads counts as a copy and as a sync."""
    syncs: int
    """Times that the host waited for the device, copies apart."""
    live_bytes: int
    peak_bytes: int
    budget: int
    pinned_allocations: int
    pinned_bytes: int


@dataclass(frozen=True, slots=True)
class Transfer:
    """A copy between host and device, or a time that the host waited."""

    kind: str
    """`to device`, `to host` or `sync`."""
    nbytes: int
    calls: tuple[str, ...]
    """Where in this repository it was asked for, `file:line function`, the innermost first."""


class SimulatedDevice:
    """The device of this process."""

    def __init__(self, native: Any) -> None:
        self._native = native
        self.device = torch.device(NAME, 0)

    def counters(self) -> Counters:
        """What was counted since the last reset."""
        return Counters(**self._native.facts())

    def live_bytes(self) -> int:
        """Bytes in use by what is in reach: what only circles of older tests hold goes first."""
        gc.collect()
        return self.counters().live_bytes

    def reset(self) -> None:
        """Count from zero; the peak from the bytes that are in use now."""
        self._native.reset()

    def switch(self, *, on: bool) -> None:
        """Let torch find the device, or no longer."""
        self._native.switch(on)

    def set_budget(self, nbytes: int = UNLIMITED) -> None:
        """Let the device have so much memory."""
        self._native.set_budget(nbytes)

    def fail_allocation(self, number: int) -> None:
        """Let the n-th allocation from now run out of memory, that one alone; 0: none."""
        self._native.fail_in(number)

    def lose(self, number: int = 1) -> None:
        """Let the n-th piece of work from now fail, and all after it; 0: none."""
        self._native.lose_in(number)

    def share(self, path: Path) -> None:
        """Share the card, and its budget, with all processes that name the same file."""
        self._native.share(str(path))

    def set_link_speed(self, bytes_a_second: float = 0) -> None:
        """Let copies between host and device take their time; 0: none."""
        self._native.set_link_speed(bytes_a_second)

    def refuse_pinning(self, *, refuses: bool = True) -> None:
        """Let there be no pinned host memory to be had."""
        self._native.refuse_pinning(refuses)

    def restore(self) -> None:
        """Take back every limit and count from zero."""
        self.set_budget()
        self.fail_allocation(0)
        self.lose(0)
        self.set_link_speed()
        self.refuse_pinning(refuses=False)
        self.reset()

    @contextmanager
    def log_transfers(self) -> Generator[list[Transfer]]:
        """Yield a list to which each transfer is added while the context lasts."""
        log: list[Transfer] = []
        self._native.log_to(
            lambda kind, nbytes: log.append(Transfer(KINDS[kind], nbytes, _calls()))
        )
        try:
            yield log
        finally:
            self._native.log_to(None)


@cache
def load_device() -> SimulatedDevice:
    """Bring the device into this process, switched off, and compile it first where it must be."""
    native = _load(built_library())
    backend_registration.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, _device_module(native))
    backend_registration.generate_methods_for_privateuse1_backend()
    return SimulatedDevice(native)


def autoload() -> None:
    """Begin with the device switched on; torch calls this where it finds the entry point.

    The environment says the rest: `SIMULATED_DEVICE_BUDGET` in bytes, `SIMULATED_DEVICE_LINK` in
    bytes a second, `SIMULATED_DEVICE_CARD`, the file of a card that processes share, and
    `SIMULATED_DEVICE_REPORT`, a folder where a process leaves its counters when it ends.
    """
    device = load_device()
    device.switch(on=True)
    if budget := os.environ.get("SIMULATED_DEVICE_BUDGET"):
        device.set_budget(int(budget))
    if speed := os.environ.get("SIMULATED_DEVICE_LINK"):
        device.set_link_speed(float(speed))
    if card := os.environ.get("SIMULATED_DEVICE_CARD"):
        device.share(Path(card))
    if folder := os.environ.get("SIMULATED_DEVICE_REPORT"):
        atexit.register(_report, device, Path(folder))


def autoload_environment(folder: Path, **settings: object) -> dict[str, str]:
    """The environment in which a new process begins with the device, as an installed one would.

    Args:
        folder: where the entry point is written.
        settings: `budget`, `link`, `card` and `report`; see `autoload`.
    """
    distribution = folder / "simulated_device-1.dist-info"
    distribution.mkdir(parents=True, exist_ok=True)
    (distribution / "METADATA").write_text("Name: simulated-device\nVersion: 1\n")
    (distribution / "entry_points.txt").write_text(
        f"[torch.backends]\n{NAME} = {autoload.__module__}:{autoload.__name__}\n"
    )
    path = [str(folder), str(_ROOT), os.environ.get("PYTHONPATH", "")]
    given = {f"SIMULATED_DEVICE_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path)), **given}


def reports(folder: Path) -> list[Counters]:
    """What each process that ended left of its counters, in no order."""
    return [Counters(**json.loads(path.read_text())) for path in folder.glob("*.json")]


def _report(device: SimulatedDevice, folder: Path) -> None:
    (folder / f"{os.getpid()}.json").write_text(json.dumps(asdict(device.counters())))


def _load(library: Path) -> Any:
    spec = spec_from_file_location(MODULE, library)
    assert spec is not None
    assert spec.loader is not None
    native = module_from_spec(spec)
    spec.loader.exec_module(native)
    return native


def _device_module(native: Any) -> ModuleType:
    """What torch asks of a device's module, `torch.simulated`."""
    module = ModuleType(f"torch.{NAME}")
    answers: dict[str, Callable[..., object]] = {
        "is_available": native.is_on,
        "is_initialized": lambda: True,
        "_is_in_bad_fork": lambda: False,
        "device_count": lambda: int(native.is_on()),
        "current_device": lambda: 0,
        "manual_seed": native.seed,
        "manual_seed_all": native.seed,
        "empty_cache": lambda: None,
        "get_amp_supported_dtype": lambda: [torch.float16, torch.bfloat16],
    }
    for name, answer in answers.items():
        setattr(module, name, answer)
    return module


def _calls(most: int = 4) -> tuple[str, ...]:
    """Where in this repository the running code is, the innermost place first."""
    places: list[str] = []
    frame = sys._getframe(1)
    while frame is not None and len(places) < most:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(_ROOT) and path != Path(__file__) and ".venv" not in path.parts:
            name = path.relative_to(_ROOT).as_posix()
            places.append(f"{name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return tuple(places)
