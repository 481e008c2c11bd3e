"""What workers compute on, found without torch: each process is shown one device."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nodegraph.errors import SettingsError

VARIABLE = "CUDA_VISIBLE_DEVICES"
_CUDA = re.compile(r"cuda:(\d{1,4})", re.ASCII)
_DRIVER = Path("/dev")


@dataclass(frozen=True, slots=True)
class Device:
    """What one worker computes on."""

    name: str
    """`cpu`, `cuda:0`; a second worker of the same one is `cpu#2`."""
    environment: Mapping[str, str]
    """What its process finds in the environment, so that it sees no other."""


def chosen(
    wanted: Sequence[str], environment: Mapping[str, str] = os.environ, folder: Path = _DRIVER
) -> list[Device]:
    """The devices that were asked for; if none, every CUDA device, or whatever torch finds.

    Args:
        wanted: `cpu`, `cuda:0`, …
        environment: may say which CUDA devices this process sees.
        folder: where the driver shows its devices.

    Raises:
        SettingsError: there is no such device.
    """
    seen = visible(environment, folder)
    names = wanted or [f"cuda:{number}" for number in range(len(seen))]
    if not names:
        return [Device("local", {})]
    times: Counter[str] = Counter()
    devices: list[Device] = []
    for name in names:
        times[name] += 1
        shown = name if times[name] == 1 else f"{name}#{times[name]}"
        devices.append(Device(shown, {VARIABLE: _shown(name, seen)}))
    return devices


def visible(environment: Mapping[str, str], folder: Path = _DRIVER) -> list[str]:
    """The CUDA devices that this process sees, as the driver names them; the first is `cuda:0`."""
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


def _shown(name: str, seen: Sequence[str]) -> str:
    if name == "cpu":
        return ""
    match = _CUDA.fullmatch(name)
    if match and int(match[1]) < len(seen):
        return seen[int(match[1])]
    there = ", ".join(["cpu", *(f"cuda:{number}" for number in range(len(seen)))])
    message = f"there is no device {name!r}."
    raise SettingsError(message, hint=f"There are: {there}.")
