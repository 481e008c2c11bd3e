"""The devices of workers, found without torch: each worker process sees one of them."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodegraph.errors import SettingsError
from nodegraph.runtime.driver import DRIVER, Driver, installed_driver, visible_devices

_NUMBERED = re.compile(r"([a-z]+):(\d{1,4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Device:
    """The device of one worker."""

    name: str
    """`cpu`, `cuda:0`; a second worker on the same device is `cpu#2`."""
    environment: Mapping[str, str]
    """Environment variables of the worker's process, which hide all other devices from it."""


def choose_devices(
    wanted: Sequence[str],
    environment: Mapping[str, str] = os.environ,
    folder: Path = DRIVER,
    driver: Driver | None = None,
) -> list[Device]:
    """Return the devices that were asked for; if none, every one that is seen, or torch's default.

    Args:
        wanted: `cpu`, `cuda:0`, `xpu:0`, …
        environment: may name the devices that this process sees, and set torch's allocator.
        folder: the folder in which the driver lists its devices.
        driver: the driver; that of the installed torch if None.

    Raises:
        SettingsError: there is no such device.
    """
    driver = driver or installed_driver()
    seen = visible_devices(environment, folder, driver)
    names = wanted or [f"{driver.type}:{number}" for number in range(len(seen))]
    if not names:
        return [Device("local", {})]
    times: Counter[str] = Counter()
    allocation = driver.allocation(environment, folder)
    devices: list[Device] = []
    for name in names:
        times[name] += 1
        label = name if times[name] == 1 else f"{name}#{times[name]}"
        own = _environment(name, seen, driver)
        devices.append(Device(label, own if name == "cpu" else {**own, **allocation}))
    return devices


def _environment(name: str, seen: Sequence[str], driver: Driver) -> Mapping[str, str]:
    """Return the variables with which a process sees one device alone."""
    if name == "cpu":
        return driver.hidden
    match = _NUMBERED.fullmatch(name)
    if match and match[1] == driver.type and int(match[2]) < len(seen):
        return {driver.variable: seen[int(match[2])]}
    available = ", ".join(["cpu", *(f"{driver.type}:{number}" for number in range(len(seen)))])
    message = f"there is no device {name!r}."
    raise SettingsError(message, hint=f"Available: {available}.")
