"""The content of an object that is written, and what is stored beside it."""

import mimetypes
import os
from pathlib import Path
from typing import NamedTuple

AT_ONCE = 64 * 2**20
"""Larger files are sent in parts."""
MARK = "write"
"""The metadata that tells our own write from another one's, if an answer got lost."""
_SHOWN = ("image/", "audio/", "video/")


class Body(NamedTuple):
    """The content of an object that is written."""

    data: bytes | Path
    sha256: str = ""
    """Stored beside it, if not empty."""

    @property
    def size(self) -> int:
        """The bytes that it has."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size

    def load(self) -> bytes | Path:
        """Return the bytes; of a file that is too large to be sent at once, its path."""
        if isinstance(self.data, Path) and self.size <= AT_ONCE:
            return self.data.read_bytes()
        return self.data

    def attributes(self, key: str) -> dict[str, str]:
        """Return the headers and the metadata to store it with, for one write."""
        media_type = media_type_of(key)
        found = {"Content-Type": media_type, MARK: os.urandom(16).hex()}
        if not media_type.startswith(_SHOWN):
            found["Content-Disposition"] = "attachment"
        return found | ({"sha256": self.sha256} if self.sha256 else {})


def media_type_of(name: str) -> str:
    """Return the media type that an object is stored with: that of pictures, videos and sound."""
    guess = mimetypes.guess_type(name)[0] or ""
    is_shown = guess.startswith(_SHOWN) and "svg" not in guess
    return guess if is_shown else "application/octet-stream"
