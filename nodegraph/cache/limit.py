"""The sizes of caches: read from the settings, or chosen by the memory there is."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from nodegraph.runtime.sizes import read_share, read_size

AUTO: Final = "auto"
SHARE: Final = 2
"""The divisor of the memory that all caches of one program may fill together."""
SMALLEST: Final = 256 << 20
"""The least bytes of one cache if the limit is `auto`."""
RESULTS_SHARE: Final = 0.1
"""The share of an accelerator's memory that results may fill if the limit is `auto`."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


class _Read:
    """Lets pydantic, which takes a tenth of a second to import, call a reader of limits."""

    def __init__(self, read: Callable[[object], object]) -> None:
        self._read = read

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:
        from pydantic_core.core_schema import no_info_plain_validator_function

        return no_info_plain_validator_function(self._read)


def read_limit(value: object) -> int | Literal["auto"]:
    """Return a limit that a file, a variable or a flag names.

    Raises:
        ValueError: it is none.
    """
    if value == AUTO:
        return AUTO
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        return read_size(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        message = f"{error}, or auto"
        raise ValueError(message) from None


def read_device_limit(value: object) -> int | str:
    """Return a limit as `read_limit` does, or a share of a device's memory, such as `10%`.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str) and read_share(value) is not None:
        return value.strip()
    try:
        return read_limit(value)
    except ValueError as error:
        message = f"{error}, or a share such as 10%"
        raise ValueError(message) from None


def read_disk_limit(value: object) -> int:
    """Return a size that a file, a variable or a flag names.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    return read_size(value if isinstance(value, str) else repr(value))


Limit: TypeAlias = Annotated[int | Literal["auto"], _Read(read_limit)]
"""Bytes, or `auto`; as text, a size such as `4GiB`."""
DeviceLimit: TypeAlias = Annotated[int | str, _Read(read_device_limit)]
"""Bytes of a device, `auto`, or a share of its memory as text: `10%`."""
DiskLimit: TypeAlias = Annotated[int, _Read(read_disk_limit)]
"""Bytes; as text, a size such as `4GiB`."""


def limit_bytes(limit: int | Literal["auto"], processes: int = 1) -> int:
    """Return how many bytes of results a cache keeps.

    Args:
        limit: as the settings have it.
        processes: how many share the memory, each with a cache of its own.
    """
    if limit != AUTO:
        return limit
    return max(memory_bytes() // SHARE // processes, SMALLEST)


def device_limit_bytes(limit: int | str, total: int, auto: float = RESULTS_SHARE) -> int:
    """Return the bytes of a device that a limit stands for.

    Args:
        limit: as the settings have it.
        total: the bytes of the device's memory.
        auto: the share that `auto` stands for.
    """
    if isinstance(limit, int):
        return limit
    share = auto if limit == AUTO else read_share(limit)
    return int(total * (auto if share is None else share))


def memory_bytes(cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int:
    """Return the bytes of memory that this process may use.

    That is the machine's, or less where a container or a service is given less (cgroup v2).
    """
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_cgroup_limits(cgroups, own)])


def _cgroup_limits(cgroups: Path, own: Path) -> list[int]:
    """Return the limits of the control group of this process and of those around it."""
    group = next((line[4:] for line in _lines(own) if line.startswith("0::/")), None)
    if group is None:
        return []
    folders = (cgroups / group, *(cgroups / group).parents)
    texts = [line for folder in folders for line in _lines(folder / "memory.max")]
    return [int(text) for text in texts if text.isdecimal()]  # "max" is no limit


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")
    except OSError:
        return []
