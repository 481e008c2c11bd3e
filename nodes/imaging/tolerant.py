"""Pillow's tolerant decoding, which it has as a switch for the whole process."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import RLock

from PIL import ImageFile

_TURN = RLock()


@contextmanager
def tolerant_decoding() -> Generator[None]:
    """Let Pillow read what it can of damaged images, and leave out metadata that is too large.

    Only one thread at a time is inside; while it is, the others' decoding is tolerant too.
    """
    with _TURN:
        before = ImageFile.LOAD_TRUNCATED_IMAGES
        ImageFile.LOAD_TRUNCATED_IMAGES = True
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = before
