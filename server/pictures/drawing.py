"""Operations on the pixels of an image; they run in the decoding process."""

import io
from typing import Literal

from PIL import Image, ImageFile, PngImagePlugin

Channel = Literal["rgb", "a", "rgba"]

MOST_PIXELS = 89_000_000
"""The most pixels of an image, as in the nodes that load images."""
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
"""The accepted formats: only common ones, and none that can run programs."""


def preview(path: str, form: str, quality: int, channel: Channel) -> bytes:
    """Return the first frame of an image as a small WebP or JPEG file.

    Args:
        path: the image file.
        form: `webp` or `jpeg`; a JPEG has no alpha.
        quality: 1 to 100.
        channel: see the function `channel`.

    Raises:
        ValueError: the file is not an image, or it is too large.
    """
    picture = _of_channel(_open(path), channel)
    if form == "jpeg" or channel == "rgb":
        picture = picture.convert("RGB")
    elif picture.mode not in ("RGB", "RGBA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    buffer = io.BytesIO()
    picture.save(buffer, format=form.upper(), quality=quality)
    return buffer.getvalue()


def channel(path: str, channel: Channel) -> bytes:
    """Return a PNG file of an image's colours (`rgb`), its alpha on black (`a`), or both.

    Raises:
        ValueError: the file is not an image, or it is too large.
    """
    return _png(_of_channel(_open(path), channel))


def apply_mask(path: str, mask: str) -> bytes:
    """Return a PNG file with the colours and texts of an image and the alpha of a mask.

    Args:
        path: the image file.
        mask: a file of the same size; opaque if it has no alpha.

    Raises:
        ValueError: a file is not an image or too large, or the sizes differ.
    """
    picture, alpha = _open(path), _alpha(_open(mask))
    if picture.size != alpha.size:
        message = f"the mask has {_size(alpha)}, the image {_size(picture)}"
        raise ValueError(message)
    texts = getattr(picture, "text", {})
    picture = picture.convert("RGBA")
    picture.putalpha(alpha)
    return _png(picture, texts)


def _open(path: str) -> Image.Image:
    Image.MAX_IMAGE_PIXELS = None  # checked below, before anything is decoded
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # as the nodes that load images do
    try:
        picture = Image.open(path, formats=_FORMATS)
    except OSError as error:
        message = "it is not an image, or it is damaged"
        raise ValueError(message) from error
    if picture.width * picture.height > MOST_PIXELS:
        message = f"it has {_size(picture)}; at most {MOST_PIXELS // 10**6} million are decoded"
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
