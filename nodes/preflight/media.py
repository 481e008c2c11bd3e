"""Checks of files of video and sound, made before anything is computed; no torch."""

from collections.abc import Mapping

from nodegraph.files.files import Files
from nodes.media.formats import check_media


def check_video(inputs: Mapping[str, object], files: Files) -> None:
    """Check that the file named by `file` or `video` begins as one of video or sound does.

    Raises:
        UnknownFileError: no such file.
        MediaFileError: it begins as none does.
        MediaSizeError: it is too large.
    """
    _check(inputs.get("file", inputs.get("video")), files)


def check_audio(inputs: Mapping[str, object], files: Files) -> None:
    """Check the file named by `audio`; see `check_video`."""
    _check(inputs.get("audio"), files)


def _check(name: object, files: Files) -> None:
    if isinstance(name, str):
        check_media(files.input(name))
