"""The size of the result cache: read from the settings, or chosen by the machine's memory."""

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from nodegraph.runtime.sizes import read_size

AUTO: Final = "auto"
SHARE: Final = 2
"""The divisor of the memory that all caches of one program may fill together."""
SMALLEST: Final = 256 << 20
"""The least bytes of one cache if the limit is `auto`."""
_CGROUPS: Final = Path("/sys/fs/cgroup")
_OWN_CGROUP: Final = Path("/proc/self/cgroup")


class _Read:
    """Lets pydantic, which takes a tenth of a second to import, call `read_limit`."""

    def __get_pydantic_core_schema__(self, _source: object, _handler: object) -> Any:
        from pydantic_core.core_schema import no_info_plain_validator_function

        return no_info_plain_validator_function(read_limit)


Limit: TypeAlias = Annotated[int | Literal["auto"], _Read()]
"""Bytes, or `auto`; as text, a size such as `4GiB`."""


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


def limit_bytes(limit: int | Literal["auto"], processes: int = 1) -> int:
    """Return how many bytes of results a cache keeps.

    Args:
        limit: as the settings have it.
        processes: how many share the memory, each with a cache of its own.
    """
    if limit != AUTO:
        return limit
    return max(memory_bytes() // SHARE // processes, SMALLEST)


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
