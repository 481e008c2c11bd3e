"""The device that torch would compute on, asked of the driver without importing torch."""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

VARIABLE = "CUDA_VISIBLE_DEVICES"
ALLOCATOR = "PYTORCH_ALLOC_CONF"
"""The variable that sets torch's allocator, since torch 2.9."""
_ALLOCATORS = (ALLOCATOR, "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF")
_TEGRA = "nvmap"
"""The memory manager of NVIDIA's boards that share the machine's memory."""
DRIVER = Path("/dev")


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver of the devices that one build of torch computes on."""

    type: str
    """The devices' type in torch."""
    variable: str
    """The environment variable that says which of them a process sees."""
    pattern: str
    """The files of the devices, in the folder where the driver shows them."""
    hidden: Mapping[str, str]
    """Environment variables that hide them all."""
    sign: str = ""
    """A file that is there if the driver is; nothing if the devices' files are enough."""

    grows: bool = False
    """True if torch's allocator can let its reservations on the devices grow."""

    def allocation(self, environment: Mapping[str, str], folder: Path) -> Mapping[str, str]:
        """Return the variables for torch's allocator; none where the environment has its own.

        Reservations that grow leave fewer gaps, which sizes that differ from run to run tear: a
        large picture then fits into what is free in all.

        Args:
            environment: may set the allocator already.
            folder: where the driver shows its devices.
        """
        if not self.grows or (folder / _TEGRA).exists():
            return {}
        own = any(name in environment for name in _ALLOCATORS)
        return {} if own else {ALLOCATOR: "expandable_segments:True"}

    def count(self, folder: Path) -> int:
        """Return the number of devices that the driver shows in a folder."""
        if self.sign and not (folder / self.sign).exists():
            return 0
        start = len(Path(self.pattern).name.rstrip("*"))
        return sum(1 for path in folder.glob(self.pattern) if path.name[start:].isdecimal())


NVIDIA = Driver("cuda", VARIABLE, "nvidia*", {VARIABLE: ""}, grows=True)
AMD = Driver(
    "cuda", "HIP_VISIBLE_DEVICES", "dri/renderD*", {"HIP_VISIBLE_DEVICES": "-1"}, sign="kfd"
)
INTEL = Driver("xpu", "ZE_AFFINITY_MASK", "dri/renderD*", {"ONEAPI_DEVICE_SELECTOR": "opencl:cpu"})


def installed_driver(build: str | None = None) -> Driver:
    """Return the driver that a build of torch asks for devices.

    Args:
        build: torch's version, such as `2.10.0+rocm6.4`; that of the installed one if None.
    """
    build = version("torch") if build is None else build
    if "+rocm" in build:
        return AMD
    return INTEL if "+xpu" in build else NVIDIA


def visible_devices(
    environment: Mapping[str, str] = os.environ, folder: Path = DRIVER, driver: Driver = NVIDIA
) -> list[str]:
    """The devices that this process sees, as the driver names them; the first is number 0.

    Args:
        environment: may say which devices this process sees.
        folder: where the driver shows its devices.
        driver: whose devices.
    """
    count = driver.count(folder)
    given = environment.get(driver.variable)
    if given is None or not count:
        return [str(number) for number in range(count)]
    found: list[str] = []
    for part in map(str.strip, given.split(",")):
        if not part or part.startswith("-"):  # as the driver reads it: the rest is ignored
            break
        found.append(part)
    return found


def expected_device(
    build: str | None = None,
    environment: Mapping[str, str] = os.environ,
    folder: Path = DRIVER,
) -> str:
    """The type of device that torch would choose: `cuda`, `xpu`, `mps` or `cpu`.

    Args:
        build: torch's version, such as `2.10.0+cpu`; that of the installed one if None.
        environment: may say which devices this process sees.
        folder: where the driver shows its devices.
    """
    build = version("torch") if build is None else build
    if "+cpu" in build:
        return "cpu"
    driver = installed_driver(build)
    if visible_devices(environment, folder, driver):
        return driver.type
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return "mps" if apple and driver is NVIDIA else "cpu"
