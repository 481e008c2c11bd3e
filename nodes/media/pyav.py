"""PyAV, which is optional, and its errors as ours."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from nodes.media.errors import EncodingError, MediaFileError, MissingPyavError


def load_pyav() -> Any:
    """Return the module `av`, whose own annotations leave much open.

    Raises:
        MissingPyavError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingPyavError from error
    return av


@contextmanager
def reading(name: str) -> Generator[None]:
    """Turn FFmpeg's errors inside into one of the file `name`.

    Raises:
        MediaFileError: FFmpeg can not go on with the file.
    """
    av = load_pyav()
    try:
        yield
    except av.error.FFmpegError as error:
        raise MediaFileError(name, _reason(error), code="damaged_media") from error


@contextmanager
def writing(what: str) -> Generator[None]:
    """Turn errors inside into one that says what can not be written.

    Raises:
        EncodingError: FFmpeg refuses it.
    """
    av = load_pyav()
    try:
        yield
    except av.error.FFmpegError as error:
        raise EncodingError(what, _reason(error)) from error


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).strip().rstrip(".") or type(error).__name__
