"""Images that packs show while their node runs, as the engine takes them: encoded, with a type."""

from io import BytesIO
from typing import Any, cast

from PIL import Image, ImageOps

ENCODED, UNENCODED = 1, 2
"""The kinds of binary messages that hold an image."""
_MIME = {1: "image/jpeg", 2: "image/png"}
"""By the number that an encoded image begins with."""
_QUALITY = 95


def preview_in(kind: int, data: object) -> tuple[bytes, str] | None:
    """Return the image of a binary message, encoded, and its MIME type; None if it has none.

    Args:
        kind: of the message.
        data: encoded, 1 for JPEG or 2 for PNG in four bytes, and the image; not encoded, see
            `encode`.
    """
    if kind == ENCODED and isinstance(data, bytes | bytearray):
        mime = _MIME.get(int.from_bytes(data[:4], "big"))
        return (bytes(data[4:]), mime) if mime else None
    return encode(data) if kind == UNENCODED else None


def encode(preview: object) -> tuple[bytes, str] | None:
    """Encode an image.

    Args:
        preview: the name of a format, `JPEG` or `PNG`, an image of Pillow's, and its longest side,
            None for any.

    Returns:
        The image and its MIME type; None if it is something else.
    """
    if not isinstance(preview, tuple | list) or len(cast("tuple[Any, ...]", preview)) < 2:
        return None
    form, image, longest = (*cast("tuple[Any, ...]", preview), None)[:3]
    if form not in ("JPEG", "PNG") or not isinstance(image, Image.Image):
        return None
    if longest is not None:
        image = ImageOps.contain(image, (longest, longest))
    stream = BytesIO()
    image.convert("RGB").save(stream, format=form, quality=_QUALITY)
    return stream.getvalue(), f"image/{form.lower()}"
