"""Local copies of objects, so that what is read again is not fetched again."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nodegraph.files.atomic import part_in, write_error

_IN_USE = 600.0
"""Seconds after its last use in which a copy is not removed: somebody may be about to open it."""
_SHARE = 20
"""The copies are counted when a twentieth of what they may have was added."""


class Copies:
    """Copies of objects in a folder that all processes of a machine share.

    Each version of an object has a path of its own, so that a copy never changes.

    Args:
        folder: the folder.
        most: the most bytes of all copies; more are removed, those first that were used least
            recently, but none that was used a moment ago.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        self._most = most
        self._added = most

    def get(self, version: str, name: str, chunks: Iterator[bytes], size: int) -> Path:
        """Return the path of a copy, which is made if there is none.

        Args:
            version: tells the version of an object from all others.
            name: the last part of the path.
            chunks: the object; only read if there is no copy.
            size: its bytes.

        Raises:
            DiskFullError: the disk is full.
            OutputFolderError: the folder can not be written.
        """
        digest = hashlib.sha256(version.encode()).hexdigest()
        place = self.folder / digest[:2] / digest[2:34]
        path = place / name
        try:
            if not path.is_file():
                place.mkdir(parents=True, exist_ok=True)
                with part_in(place, chunks, synced=False) as part:
                    part.replace(path)
                self._make_room(size)
            os.utime(place)  # the file's own times stay, for its hash is remembered by them
        except FileNotFoundError:
            raise
        except OSError as error:
            raise write_error(self.folder, error) from error
        return path

    def _make_room(self, size: int) -> None:
        self._added += size
        if self._added * _SHARE < self._most:
            return
        self._added = 0
        found = sorted(_copies(self.folder))
        total = sum(nbytes for _, nbytes, _ in found)
        for used, nbytes, place in found:
            if total <= self._most or time.time() - used < _IN_USE:
                return
            shutil.rmtree(place, ignore_errors=True)
            total -= nbytes


def _copies(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield when each copy was used last, its bytes and its folder."""
    for place in folder.glob("[0-9a-f][0-9a-f]/*"):
        with suppress(OSError):
            nbytes = sum(each.stat().st_size for each in place.iterdir())
            yield place.stat().st_mtime, nbytes, place
