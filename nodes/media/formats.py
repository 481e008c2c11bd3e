"""Formats of video and sound, by the first bytes of a file; torch-free.

A file is opened as the format that its own bytes show and as no other: FFmpeg also knows formats
that make it read other files and addresses (playlists, for example), and guesses those, too.
"""

from pathlib import Path
from typing import Final

from nodes.media.errors import MediaFileError, MediaSizeError

VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi", ".gif", ".mpg", ".mpeg")
SOUND_SUFFIXES: Final = (".flac", ".mp3", ".ogg", ".opus", ".wav", ".m4a", ".aac")

HEAD: Final = 512
"""Bytes at the start of a file that tell its format."""

MOST_BYTES: Final = 2 << 30
"""The largest file that is read."""

_STARTS: Final = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"GIF8", "gif"),
    (b"fLaC", "flac"),
    (b"OggS", "ogg"),
    (b"ID3", "mp3"),
    (b"\x00\x00\x01\xba", "mpeg"),
)
_MP4_BOXES: Final = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
_RIFF: Final = {b"AVI ": "avi", b"WAVE": "wav"}
_SYNC: Final = 0xFF
_ADTS: Final = 0xF0
_MPEG_SOUND: Final = (0xFA, 0xFB, 0xF2, 0xF3)


def format_of(head: bytes) -> str | None:
    """Return FFmpeg's name for the format of a file that begins so; None if it is not known."""
    if head[4:8] in _MP4_BOXES:
        return "mov"
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    found = next((name for start, name in _STARTS if head.startswith(start)), None)
    if found or len(head) < 2 or head[0] != _SYNC:
        return found
    if head[1] in _MPEG_SOUND:
        return "mp3"
    return "aac" if head[1] & 0xF6 == _ADTS else None


def check_media(path: Path) -> None:
    """Check a file's size, and that it begins as one of video or sound does.

    Raises:
        MediaFileError: it does not.
        MediaSizeError: it has more than `MOST_BYTES`.
    """
    size = path.stat().st_size
    if size > MOST_BYTES:
        message = f"{path.name!r} has {size / (1 << 30):.1f} GiB, more than {MOST_BYTES >> 30} GiB"
        raise MediaSizeError(message, "Cut it, or compress it more.")
    with path.open("rb") as file:
        head = file.read(HEAD)
    if format_of(head) is None:
        reason = "it begins as none does" if head else "the file is empty"
        raise MediaFileError(path.name, reason, code="not_media")
