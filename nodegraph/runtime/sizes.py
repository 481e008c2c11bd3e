"""Numbers of bytes as people write them: `4GiB`, `500 MB`."""

import re
from typing import Final

_UNITS: Final = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000 ** (k + 1) for k, prefix in enumerate("KMGT")},
    **{f"{prefix}IB": 1024 ** (k + 1) for k, prefix in enumerate("KMGT")},
}
_SIZE = re.compile(r"(\d{1,18}(?:\.\d{1,6})?)\s?([KMGT]?I?B)?", re.ASCII | re.IGNORECASE)
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3})?)\s?%", re.ASCII)
PREFIXES: Final = ("", "K", "M", "G", "T", "P", "E")
"""Each is 1024 times the one before, as in KiB and MiB."""


def read_size(text: str) -> int:
    """Return the number of bytes that a text names.

    Args:
        text: a number, and a unit: `B`, `KiB`, `MiB`, `GiB` and `TiB`, each 1024 times the one
            before; `kB`, `MB`, `GB` and `TB`, each 1000 times. Bytes if there is no unit.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = _UNITS.get((match[2] or "").upper()) if match else None
    if match is None or unit is None:
        message = f"{text[:40]!r} is no size; write bytes, or a number with a unit, such as 4GiB"
        raise ValueError(message)
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def read_share(text: str) -> float | None:
    """Return the share that a text such as `10%` names, from 0 to 1; None if it names none."""
    match = _SHARE.fullmatch(text.strip())
    share = float(match[1]) / 100 if match else None
    return share if share is not None and share <= 1 else None


def format_size(count: int) -> str:
    """Return a number of bytes with the largest unit that leaves at least 1 of it."""
    power = min(max(count.bit_length() - 1, 0) // 10, len(PREFIXES) - 1)
    if not power:
        return f"{count} bytes"
    return f"{count / 1024**power:.1f} {PREFIXES[power]}iB"
