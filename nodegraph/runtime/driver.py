"""The device that torch would compute on, asked of the driver without importing torch."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

VARIABLE = "CUDA_VISIBLE_DEVICES"
DRIVER = Path("/dev")


def visible_devices(
    environment: Mapping[str, str] = os.environ, folder: Path = DRIVER
) -> list[str]:
    """The CUDA devices that this process sees, as the driver names them; the first is `cuda:0`.

    Args:
        environment: may say which CUDA devices this process sees.
        folder: where the driver shows its devices.
    """
    count = sum(1 for path in folder.glob("nvidia*") if path.name[len("nvidia") :].isdecimal())
    given = environment.get(VARIABLE)
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
    """The kind of device that torch would choose: `cuda`, `mps` or `cpu`.

    Args:
        build: torch's version, such as `2.10.0+cpu`; that of the installed one if None.
        environment: may say which CUDA devices this process sees.
        folder: where the driver shows its devices.
    """
    build = version("torch") if build is None else build
    if "+cpu" in build:
        return "cpu"
    if "+rocm" in build:
        return "cuda" if (folder / "kfd").exists() else "cpu"
    if visible_devices(environment, folder):
        return "cuda"
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return "mps" if apple else "cpu"
