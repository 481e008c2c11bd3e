"""Write a new numbered file so that it is there whole or not at all."""

import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from nodegraph.errors import UnsafePathError
from nodegraph.folders import inside, relative
from nodegraph.naming import Claim, Place
from nodegraph.parts import Chunk, explained, link, part_in, sweep, sync

_LONGEST_STEM = 200
_LONGEST_NUMBER = 12
"""Digits."""
_CLOCK = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
_DATE_PARTS = {
    "yyyy": "%Y",
    "yy": "%y",
    "MM": "%m",
    "M": "%m",
    "dd": "%d",
    "d": "%d",
    "hh": "%H",
    "h": "%H",
    "mm": "%M",
    "m": "%M",
    "ss": "%S",
    "s": "%S",
}


def save_numbered(
    root: Path,
    prefix: str,
    suffix: str,
    data: bytes | Iterable[Chunk],
    claim: Claim | None = None,
) -> Path:
    """Write `data` to `root/prefix_00001_suffix`, one above the highest number there is.

    Large data can come in chunks. Nothing is ever overwritten, by two processes at once
    neither; on any failure, nothing is left behind; what a killed process left is removed by
    the next that saves there. Only with `claim`, what an earlier attempt at the same run
    wrote is replaced.

    Raises:
        UnsafePathError: the prefix leads out of `root`.
        DiskFullError: there is no room.
        OutputFolderError: the folder can not be written.
    """
    folder, stem = _split(root, prefix)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with part_in(folder, data) as part:
            path = _named(part, root, Place(folder, stem, suffix), claim)
        sync(path.parent)
    except OSError as error:
        raise explained(folder, error) from error
    return path


def expand(prefix: str, tokens: Mapping[str, object]) -> str:
    """Fill in `%year%`, `%date:yyyy-MM-dd%` and the like, and the `%name%`s of `tokens`."""
    now = time.localtime()
    known = {name: time.strftime(form, now) for name, form in _CLOCK.items()}
    known |= {name: str(value) for name, value in tokens.items()}

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("date:"):
            return _date(name.removeprefix("date:"), now)
        return known.get(name, match[0])

    return re.sub(r"%([^%/\\]+)%", fill, prefix)


def check_prefix(root: Path, prefix: str) -> None:
    """Make sure that files could be saved under a prefix.

    Raises:
        UnsafePathError: it leads out of `root`, or is too long for a file's name.
    """
    name = expand(prefix, {})
    _, stem = _split(root, name)
    if len(stem.encode(errors="replace")) > _LONGEST_STEM:
        raise UnsafePathError(prefix, f"a file's name has at most {_LONGEST_STEM} bytes")


def check_writable(folder: Path) -> None:
    """Make sure that files can be made in `folder`, which is made if need be.

    Raises:
        DiskFullError: there is no room.
        OutputFolderError: they can not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part_in(folder, b"nodegraph"):
            pass
    except OSError as error:
        raise explained(folder, error) from error


def _date(form: str, now: time.struct_time) -> str:
    return re.sub(
        r"yyyy|yy|MM?|dd?|hh?|mm?|ss?",
        lambda match: _date_part(match[0], now),
        form,
    )


def _date_part(part: str, now: time.struct_time) -> str:
    text = time.strftime(_DATE_PARTS[part], now)
    return text.lstrip("0") or "0" if len(part) == 1 else text


def _split(root: Path, prefix: str) -> tuple[Path, str]:
    """The folder that a prefix names, and what its files begin with (possibly nothing)."""
    name = prefix.replace("\\", "/")
    folder, _, stem = name.rpartition("/")
    if stem:
        relative(name)
    return (inside(root, folder) if folder else root), stem


def _named(part: Path, root: Path, place: Place, claim: Claim | None) -> Path:
    """Give the part its name: the first free one above the highest, or the one it had before."""
    number = _highest(place.folder, place.stem)
    while True:
        named = claim.claim(place, number + 1) if claim else place.named(number + 1)
        if not named.again:
            number = named.number
            with suppress(FileExistsError):
                link(part, named.path)
                return named.path
        elif named.path.is_relative_to(root):
            named.path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(named.path)
            return named.path
        if claim:
            claim.release()


def _highest(folder: Path, stem: str) -> int:
    """The highest number that `stem` was saved under, whatever the suffix; 0 if none.

    What nobody could have counted to is somebody's own name, and no number.
    """
    pattern = re.compile(
        re.escape(stem) + rf"_([0-9]{{1,{_LONGEST_NUMBER}}})(?:_|\.|$)", re.IGNORECASE
    )
    with os.scandir(folder) as entries:
        matches = [pattern.match(entry.name) for entry in entries]
    return max((int(match[1]) for match in matches if match), default=0)
