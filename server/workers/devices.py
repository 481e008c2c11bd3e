"""The devices of workers, found without torch: each worker process sees one of them."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodegraph.errors import SettingsError
from nodegraph.runtime.driver import DRIVER, VARIABLE, visible_devices

_CUDA = re.compile(r"cuda:(\d{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """The device of one worker."""

    name: str
    """`cpu`, `cuda:0`; a second worker on the same device is `cpu#2`."""
    environment: Mapping[str, str]
    """Environment variables that hide all other devices from the worker's process."""


def choose_devices(
    wanted: Sequence[str], environment: Mapping[str, str] = os.environ, folder: Path = DRIVER
) -> list[Device]:
    """Return the devices that were asked for; if none, every CUDA device, or torch's default.

    Args:
        wanted: `cpu`, `cuda:0`, …
        environment: may name the CUDA devices that this process sees.
        folder: the folder in which the driver lists its devices.

    Raises:
        SettingsError: there is no such device.
    """
    seen = visible_devices(environment, folder)
    names = wanted or [f"cuda:{number}" for number in range(len(seen))]
    if not names:
        return [Device("local", {})]
    times: Counter[str] = Counter()
    devices: list[Device] = []
    for name in names:
        times[name] += 1
        label = name if times[name] == 1 else f"{name}#{times[name]}"
        devices.append(Device(label, {VARIABLE: _visible_device(name, seen)}))
    return devices


def _visible_device(name: str, seen: Sequence[str]) -> str:
    if name == "cpu":
        return ""
    match = _CUDA.fullmatch(name)
    if match and int(match[1]) < len(seen):
        return seen[int(match[1])]
    available = ", ".join(["cpu", *(f"cuda:{number}" for number in range(len(seen)))])
    message = f"there is no device {name!r}."
    raise SettingsError(message, hint=f"Available: {available}.")
