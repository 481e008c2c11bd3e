"""Results on the disk, a file each: what memory has no room for, and prompts over a restart.

A file's name is the hash of the result's key and of all else that its numbers depend on, so that
another version, device or pack finds nothing of it. Files of other names are left alone.
"""

import logging
import os
import re
import threading
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final

from nodegraph.cache.books import Place
from nodegraph.cache.entry import Entry
from nodegraph.cache.plain_values import NotLoadedError, decode, encode, read_metadata
from nodegraph.cache.protocol import PlaceStats
from nodegraph.files.atomic import part_in, sweep

DISK: Final = "disk"
LARGEST_SHARE: Final = 0.8
"""The share of the limit that one file may fill."""
_NAME = re.compile(r"[0-9a-f]{32}\.safetensors")
_HEADER: Final = 1 << 16
"""Bytes that are read of a file to know the seconds in it; a longer header counts as 0 s."""
_log = logging.getLogger(__name__)


class DiskResults:
    """Results in a folder; several processes may use it at once.

    Files that take the fewest seconds to compute for each byte go first (`Ranking`). A folder
    that can't be written, a full disk or a broken file is a warning and no error.

    Args:
        folder: holds the files; made when the first is written.
        limit: the bytes that they may take.
        depends_on: returns what results depend on beside their keys.
    """

    def __init__(self, folder: Path, limit: int, depends_on: Callable[[], str]) -> None:
        self._folder = folder
        self._depends_on = depends_on
        self._lock = threading.Lock()
        self._place = Place(limit)
        self._sizes: dict[str, int] | None = None
        self._ranked = False
        self._unscanned = 0
        """Bytes written since the folder was looked through."""
        self._works = True

    def write(self, entry: Entry) -> bool:
        """Write a result, unless it is there or can't be; return True if it is there then."""
        if not _is_writable(entry):
            return False
        name = self._name(entry.key)
        with self._lock:
            if name in self._scan():
                return True
        data = encode(entry.held, entry.seconds)
        if data is None or len(data) > self._place.limit * LARGEST_SHARE or not entry.intact:
            return False
        with self._lock:
            self._make_room(len(data))
            if not self._write(name, data):
                return False
            self._scan()[name] = len(data)
            self._place.ranking.put(name, entry.seconds, len(data))
            self._unscanned += len(data)
            return True

    def read(self, key: str) -> Entry | None:
        """Return the result of a key, on the host; None if it is not there or broken."""
        name = self._name(key)
        try:
            data = (self._folder / name).read_bytes()
            found = decode(data)
        except (FileNotFoundError, NotLoadedError):
            return None
        except (OSError, ValueError) as error:
            _log.warning("the kept result %s is not used: %s", self._folder / name, error)
            self._remove(name)
            return None
        with self._lock:
            self._place.hits += 1
            if name in self._scan():
                self._place.ranking.put(name, found.seconds, len(data))
        entry = Entry(found.held, seconds=found.seconds)
        entry.key = key
        return entry

    @property
    def stats(self) -> PlaceStats:
        """The state of the folder, as far as this process knows, and its counts."""
        with self._lock:
            sizes = self._scan()
            self._place.entries = len(sizes)
            return self._place.stats(DISK, sum(sizes.values()))

    def _name(self, key: str) -> str:
        digest = blake2b(f"{self._depends_on()}\n{key}".encode(), digest_size=16)
        return f"{digest.hexdigest()}.safetensors"

    def _scan(self) -> dict[str, int]:
        """Return the sizes of the files; looked up at first, and when others may have written."""
        if self._sizes is None or self._unscanned > self._place.limit // 20:
            self._unscanned = 0
            self._ranked = False
            self._sizes = {}
            with suppress(OSError):
                sweep(self._folder)
                with os.scandir(self._folder) as found:
                    for item in found:
                        if _NAME.fullmatch(item.name):
                            self._sizes[item.name] = item.stat().st_size
        return self._sizes

    def _make_room(self, nbytes: int) -> None:
        """Remove files until so many bytes more fit; the lock is held."""
        sizes = self._scan()
        missing = sum(sizes.values()) + nbytes - self._place.limit
        if missing > 0 and not self._ranked:
            self._rank_all(sizes)
        while missing > 0 and (name := self._place.ranking.pop()):
            missing -= sizes.pop(name, 0)
            self._place.evictions += 1
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)

    def _rank_all(self, sizes: dict[str, int]) -> None:
        """Rank files of earlier and of other processes by the seconds that they tell."""
        self._ranked = True
        for name, nbytes in sizes.items():
            if name not in self._place.ranking:
                self._place.ranking.put(name, _seconds_in(self._folder / name), max(nbytes, 1))

    def _write(self, name: str, data: bytes) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part_in(self._folder, data, synced=False) as part:
                part.replace(self._folder / name)
        except OSError as error:
            if self._works:
                reason = error.strerror or str(error)
                _log.warning("no results are kept in %s: %s", self._folder, reason)
            self._works = False
            return False
        self._works = True
        return True

    def _remove(self, name: str) -> None:
        with self._lock:
            self._scan().pop(name, None)
            self._place.ranking.discard(name)
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)


def _is_writable(entry: Entry) -> bool:
    """Say if a result is no more than its outputs: it shows nothing, and refers to no model."""
    return not (entry.ui or entry.inner or entry.models) and bool(entry.held.storages)


def _seconds_in(path: Path) -> float:
    """Return the seconds that a file tells; 0 if it is broken, so that it goes first."""
    try:
        with path.open("rb") as file:
            return float(read_metadata(file.read(_HEADER))["seconds"])
    except (OSError, ValueError, KeyError):
        return 0.0
