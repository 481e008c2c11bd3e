"""Save a new numbered file, whole or not at all."""

import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from nodegraph.errors import UnsafePathError
from nodegraph.files.atomic import Chunk, link, part_in, sweep, sync, write_error
from nodegraph.files.file_names import Claim, FileSeries, LastNumbers
from nodegraph.files.folders import inside, relative

_LONGEST_STEM = 200
_LONGEST_NUMBER = 12
"""The most digits of a number."""
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
    """Write `data` to `root/prefix_00001_suffix`, with one above the highest number in use.

    Large data can come in chunks. No file is ever overwritten, not even by two processes that
    save at once. A failure leaves nothing behind, and the parts of a killed process are removed
    by the next save there. Only with `claim` is a file replaced: the one that an earlier attempt
    at the same run wrote.

    Raises:
        UnsafePathError: the prefix leads out of `root`.
        DiskFullError: the disk is full.
        OutputFolderError: the folder can not be written.
    """
    folder, stem = _split(root, prefix)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with part_in(folder, data) as part:
            path = _link_numbered(part, root, FileSeries(folder, stem, suffix), claim)
        sync(path.parent)
    except OSError as error:
        raise write_error(folder, error) from error
    return path


def save_temporary(
    root: Path, prefix: str, suffix: str, data: bytes | Iterable[Chunk], last: LastNumbers
) -> Path:
    """Write `data` as `save_numbered` does, but to a file that a power cut may take.

    The folder is listed only once: a folder of previews grows by a file with every run.

    Args:
        root: the temp folder.
        prefix: the start of the name.
        suffix: the end of the name.
        data: the whole file, or its chunks.
        last: remembers the last number of the series, for the next call.

    Raises:
        UnsafePathError: the prefix leads out of `root`.
        DiskFullError: the disk is full.
        OutputFolderError: the folder can not be written.
    """
    folder, stem = _split(root, prefix)
    place = FileSeries(folder, stem, suffix)
    try:
        if last.get(place) is None or not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sweep(folder)
            last.raise_to(place, _highest(folder, stem))
        with part_in(folder, data, synced=False) as part:
            return _link_next(part, place, last)
    except OSError as error:
        raise write_error(folder, error) from error


def expand(prefix: str, tokens: Mapping[str, object]) -> str:
    """Fill in `%year%`, `%date:yyyy-MM-dd%` and so on, and the `%name%`s of `tokens`."""
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
    """Check that files can be saved under a prefix.

    Raises:
        UnsafePathError: it leads out of `root`, or is too long for a file's name.
    """
    name = expand(prefix, {})
    _, stem = _split(root, name)
    if len(stem.encode(errors="replace")) > _LONGEST_STEM:
        raise UnsafePathError(prefix, f"a file's name has at most {_LONGEST_STEM} bytes")


def check_writable(folder: Path) -> None:
    """Check that files can be written in `folder`, which is created if it does not exist.

    Raises:
        DiskFullError: the disk is full.
        OutputFolderError: they can not be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part_in(folder, b"nodegraph"):
            pass
    except OSError as error:
        raise write_error(folder, error) from error


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
    """Split a prefix into its folder and the start of its files' names, which may be empty."""
    name = prefix.replace("\\", "/")
    folder, _, stem = name.rpartition("/")
    if stem:
        relative(name)
    return (inside(root, folder) if folder else root), stem


def _link_numbered(part: Path, root: Path, place: FileSeries, claim: Claim | None) -> Path:
    """Give the part its name, with the next free number or the one it had before."""
    number = _highest(place.folder, place.stem)
    while True:
        named = claim.claim(place, number + 1) if claim else place.file(number + 1)
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


def _link_next(part: Path, place: FileSeries, last: LastNumbers) -> Path:
    """Give the part the next free number; others may write to the same folder."""
    while True:
        path = place.file(last.next(place)).path
        with suppress(FileExistsError):
            link(part, path)
            return path


def number_pattern(stem: str) -> re.Pattern[str]:
    """Return the pattern of names that have a number after `stem`, with any suffix.

    A number of more than 12 digits is taken for a part of a name.
    """
    return re.compile(
        re.escape(stem) + rf"_([0-9]{{1,{_LONGEST_NUMBER}}})(?:_|\.|$)", re.IGNORECASE
    )


def _highest(folder: Path, stem: str) -> int:
    """Return the highest number of a file named `stem`, with any suffix; 0 if there is none."""
    pattern = number_pattern(stem)
    with os.scandir(folder) as entries:
        matches = [pattern.match(entry.name) for entry in entries]
    return max((int(match[1]) for match in matches if match), default=0)
