"""Errors of video and sound: of files, of what is to be written, and of PyAV that is not there."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from nodegraph.errors import NodeGraphError

MediaFileCode: TypeAlias = Literal["not_media", "damaged_media", "no_pictures", "no_sound"]

_FILES: Mapping[MediaFileCode, tuple[str, str]] = {
    "not_media": (
        "can not be loaded as video or sound",
        "MP4, MOV, WebM, MKV, AVI, GIF, FLAC, MP3, OGG, Opus, M4A and WAV files work.",
    ),
    "damaged_media": (
        "is damaged",
        "Copy it again, or save it anew from a program that can open it.",
    ),
    "no_pictures": ("has no video in it", "Use a video that shows something."),
    "no_sound": ("has no sound in it", "Use a file with a sound track."),
}
"""Each code: the problem, and what would work."""


class MediaFileError(NodeGraphError):
    """A file can not be read as the video or sound that a workflow takes it for."""

    def __init__(self, name: str, reason: str = "", *, code: MediaFileCode) -> None:
        problem, hint = _FILES[code]
        super().__init__(f"{name!r} {problem}{f': {reason}' if reason else ''}.", hint=hint)
        self.code = code


class MissingPyavError(NodeGraphError):
    """Video or sound is to be read or written without PyAV."""

    code = "missing_pyav"

    def __init__(self) -> None:
        super().__init__(
            "files of video and sound need the package av (PyAV), which is not installed.",
            hint="Install the extra: pip install 'nodegraph[video]'.",
        )


class MediaSizeError(NodeGraphError):
    """Video or sound takes more memory than a run may use for it."""

    code = "media_too_large"

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}.", hint=hint)


class EncodingError(NodeGraphError):
    """Pictures or sound that a file's format can not hold."""

    code = "media_encoding"

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(
            f"{what} can not be written: {reason}.",
            hint="Another size, rate, number of channels or format may work.",
        )
