"""What is done with a picture's pixels; runs in the process that may die of it."""

import io
from typing import Literal

from PIL import Image, PngImagePlugin

Channel = Literal["rgb", "a", "rgba"]

MOST_PIXELS = 89_000_000
"""What a picture may have: as many as nodes load."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
"""None that runs programs, and none that few pictures have."""


def preview(path: str, form: str, quality: int, channel: Channel) -> bytes:
    """A picture's first frame, smaller in bytes: WebP or JPEG.

    Args:
        path: the picture.
        form: `webp` or `jpeg`; a JPEG has no alpha.
        quality: 1 to 100.
        channel: as for `channel`.

    Raises:
        ValueError: it is no picture, or too large.
    """
    picture = _of_channel(_opened(path), channel)
    if form == "jpeg" or channel == "rgb":
        picture = picture.convert("RGB")
    elif picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    buffer = io.BytesIO()
    picture.save(buffer, format=form.upper(), quality=quality)
    return buffer.getvalue()


def channel(path: str, channel: Channel) -> bytes:
    """A PNG of a picture's colours alone, or of its alpha alone (on black), or of both.

    Raises:
        ValueError: it is no picture, or too large.
    """
    return _png(_of_channel(_opened(path), channel))


def masked(path: str, mask: str) -> bytes:
    """A PNG with the colours of a picture and the alpha of another; its texts are kept.

    Args:
        path: the picture.
        mask: as large; fully opaque if it has no alpha.

    Raises:
        ValueError: one is no picture, or too large, or they differ in size.
    """
    picture, alpha = _opened(path), _alpha(_opened(mask))
    if picture.size != alpha.size:
        message = f"the mask is {_size(alpha)}, the picture {_size(picture)}"
        raise ValueError(message)
    texts = getattr(picture, "text", {})
    picture = picture.convert("RGBA")
    picture.putalpha(alpha)
    return _png(picture, texts)


def _opened(path: str) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None  # we look ourselves, before anything is decoded
    try:
        picture = Image.open(path, formats=_FORMATS)
    except OSError as error:
        message = "it is no picture, or a damaged one"
        raise ValueError(message) from error
    if picture.width * picture.height > MOST_PIXELS:
        message = f"it is {_size(picture)}; at most {MOST_PIXELS // 10**6} million are decoded"
        raise ValueError(message)
    picture.load()
    return picture


def _of_channel(picture: Image.Image, channel: Channel) -> Image.Image:
    if channel == "rgb":
        return picture.convert("RGB")
    if channel == "a":
        alone = Image.new("RGBA", picture.size)
        alone.putalpha(_alpha(picture))
        return alone
    return picture


def _alpha(picture: Image.Image) -> Image.Image:
    return picture.convert("RGBA").getchannel("A")


def _png(picture: Image.Image, texts: dict[str, str] | None = None) -> bytes:
    info = PngImagePlugin.PngInfo()
    for name, text in (texts or {}).items():
        info.add_text(name, text)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=4, pnginfo=info)
    return buffer.getvalue()


def _size(picture: Image.Image) -> str:
    return f"{picture.width} by {picture.height} pixels"
