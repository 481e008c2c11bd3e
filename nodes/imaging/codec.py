"""Image codecs: decode any file safely, encode as ComfyUI does."""

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image as PILImage
from PIL import ImageOps, ImageSequence, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from nodes.imaging.errors import InputFileError, SizeLimitError
from nodes.imaging.tolerant import tolerant_decoding

MOST_PIXELS = 89_000_000
"""The most pixels of a file, over all its frames: as a tensor they take 12 bytes each."""

_BAND = 2**18
"""Values that are converted at once."""
_MODEL_TAG = 0x0110
_COARSEST = 63
"""The largest quantizer of AV1; AVIF encoders call it quality 0."""
_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "PPM")
_BOMBS = (PILImage.DecompressionBombError, PILImage.DecompressionBombWarning)
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error)
"""Raised by Pillow's codecs."""
_Decode: TypeAlias = Callable[[PILImage.Image], list[PILImage.Image]]


def to_bytes(image: Tensor) -> np.ndarray:
    """Convert one image to 8 bits: 255 times the value, truncated, not rounded, as in ComfyUI.

    Args:
        image: [height, width, channels] in [0, 1]; other values are clipped, NaN is 0.

    Returns:
        [height, width, channels].
    """
    if image.device.type != "cpu":
        return _scale(image).to(torch.uint8).cpu().numpy()
    pixels = np.empty(image.shape, np.uint8)
    rows = max(1, _BAND // max(1, image[:1].numel()))
    for start in range(0, len(image), rows):  # a few at once stay in the processor's cache
        band = _scale(image[start : start + rows]).numpy().astype(np.uint8)
        _copy(band, pixels[start : start + rows])
    return pixels


def _scale(image: Tensor) -> Tensor:
    """Return 255 times the values, in [0, 255]; NaN becomes 0."""
    return image.detach().float().mul(255).nan_to_num_(0.0).clamp_(0, 255)


def _copy(band: np.ndarray, to: np.ndarray) -> None:
    """Copy pixels; by channels if they lie apart in memory, where numpy is slow."""
    if band.flags.c_contiguous:
        to[:] = band
        return
    for channel in range(band.shape[-1]):
        to[..., channel] = band[..., channel]


def encode_png(image: Tensor, texts: Mapping[str, str], compress_level: int = 4) -> bytes:
    """Encode [height, width, 1, 3 or 4 channels] as a PNG file with text chunks."""
    buffer = io.BytesIO()
    info = text_chunks(texts)
    _pil_image(image).save(buffer, format="PNG", pnginfo=info, compress_level=compress_level)
    return buffer.getvalue()


def encode_apng(
    images: Tensor, texts: Mapping[str, str], milliseconds: float, compress_level: int
) -> bytes:
    """Encode [frames, height, width, channels] as an endless animated PNG with text chunks."""
    first, *rest = map(_pil_image, images)
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="PNG",
        pnginfo=text_chunks(texts),
        compress_level=compress_level,
        save_all=True,
        duration=int(milliseconds),
        append_images=rest,
    )
    return buffer.getvalue()


def encode_webp(
    images: Tensor,
    texts: Mapping[str, str],
    milliseconds: float,
    *,
    lossless: bool,
    quality: int,
    method: int,
) -> bytes:
    """Encode [frames, height, width, channels] as an animated WebP with EXIF texts.

    As in ComfyUI, the texts are EXIF tags, downwards from `Model`, each with `keyword:text`.
    """
    first, *rest = map(_pil_image, images)
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="WEBP",
        exif=_exif(texts),
        lossless=lossless,
        quality=quality,
        method=method,
        save_all=True,
        duration=int(milliseconds),
        append_images=rest,
    )
    return buffer.getvalue()


def encode_avif(
    images: Tensor, texts: Mapping[str, str], milliseconds: float, *, crf: int
) -> bytes:
    """Encode [frames, height, width, channels] as an AVIF of 8 bits, animated if it has several.

    Args:
        images: the frames.
        texts: EXIF texts, as in `encode_webp`.
        milliseconds: of each frame.
        crf: the quantizer, 1 (the best) to 63.
    """
    first, *rest = map(_pil_image, images)
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="AVIF",
        exif=_exif(texts),
        quality=round(100 - crf * 100 / _COARSEST),
        subsampling="4:2:0",
        save_all=bool(rest),
        duration=int(milliseconds),
        append_images=rest,
    )
    return buffer.getvalue()


def _exif(texts: Mapping[str, str]) -> PILImage.Exif:
    exif = PILImage.Exif()
    for tag, (keyword, text) in zip(range(_MODEL_TAG, 0, -1), texts.items(), strict=False):
        exif[tag] = f"{keyword}:{text}"
    return exif


def encode_gif(images: Tensor, milliseconds: float, loops: int) -> bytes:
    """Encode [frames, height, width, channels] as an animated GIF of 256 colours a frame.

    Args:
        images: the frames.
        milliseconds: for which each is shown; GIF rounds it to hundredths of a second.
        loops: the number of times it is played; 0 for ever.
    """
    first, *rest = (_pil_image(image).convert("RGB").quantize(256) for image in images)
    buffer = io.BytesIO()
    first.save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=rest,
        duration=max(10, round(milliseconds)),
        loop=loops,
        disposal=2,
    )
    return buffer.getvalue()


def _pil_image(image: Tensor) -> PILImage.Image:
    pixels = to_bytes(image)
    return PILImage.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def text_chunks(texts: Mapping[str, str]) -> PngImagePlugin.PngInfo:
    """Return the text chunks of a PNG file."""
    info = PngImagePlugin.PngInfo()
    for key, text in texts.items():
        info.add_text(key, text)
    return info


def read_frames(path: Path, report: Callable[[str], None]) -> list[PILImage.Image]:
    """Read the frames of an image file, turned upright; more than one if it is animated.

    Frames of another size than the first are left out. Of a damaged file what can be read is
    used, as in ComfyUI; so is a file whose texts or colour profile are too large, without them.

    Args:
        path: the file.
        report: gets a message if the file was read in part.

    Raises:
        InputFileError: the file is no image, or nothing of it can be read.
        SizeLimitError: it has more than `MOST_PIXELS`.
    """
    try:
        return _read(path, decode=_decode_all)
    except InputFileError as error:
        with tolerant_decoding():
            frames = _read(path, decode=_decode_some)
        report(f"{error.message.rstrip('.')}. What can be read of it is used.")
        return frames


def _read(path: Path, decode: _Decode) -> list[PILImage.Image]:
    try:
        with PILImage.open(path, formats=_FORMATS) as image:
            _check_size(path, image)
            frames = decode(image)
    except UnidentifiedImageError as error:
        raise InputFileError(path, "its format is not known", code="not_an_image") from error
    except _BOMBS as error:
        raise _too_large(path, "far too many pixels") from error
    except _BROKEN as error:
        raise InputFileError(
            path, str(error).rstrip(".") or type(error).__name__, code="damaged_image"
        ) from error
    return [frame for frame in frames if frame.size == frames[0].size]


def colours(frame: PILImage.Image) -> Tensor:
    """Return a frame without its alpha channel: [height, width, 3] in [0, 1]."""
    return _as_tensor(_rgba(frame).convert("RGB"))


def channel(frame: PILImage.Image, letter: str) -> Tensor:
    """Return one channel, `R`, `G`, `B` or `A`, of a frame: [height, width] in [0, 1].

    A frame without an alpha channel is opaque: its `A` is 1 everywhere.
    """
    return _as_tensor(_rgba(frame).getchannel(letter))


def has_alpha(frame: PILImage.Image) -> bool:
    """Return True if a frame has an alpha channel, or a palette with transparency."""
    return "A" in frame.getbands() or (frame.mode == "P" and "transparency" in frame.info)


def _as_tensor(image: PILImage.Image) -> Tensor:
    return torch.tensor(np.asarray(image), dtype=torch.float32).div_(255)


def _rgba(frame: PILImage.Image) -> PILImage.Image:
    frame = _eight_bits(frame)
    return frame.convert("RGBA") if has_alpha(frame) else frame.convert("RGB").convert("RGBA")


def _frames(image: PILImage.Image) -> Iterator[PILImage.Image]:
    """Yield every frame; of a camera's multi-image file (MPO) only the first."""
    if image.format == "MPO":
        yield image
    else:
        yield from ImageSequence.Iterator(image)


def _decode_all(image: PILImage.Image) -> list[PILImage.Image]:
    return [_rotate_upright(frame) for frame in _frames(image)]


def _decode_some(image: PILImage.Image) -> list[PILImage.Image]:
    """Return the frames before the first that can not be read, which is not the first of all."""
    frames: list[PILImage.Image] = []
    remaining = _frames(image)
    while True:
        try:
            frame = next(remaining, None)
            if frame is None:
                return frames
            frame.load()
        except _BROKEN:
            if frames:
                return frames
            raise
        frames.append(_rotate_if_told(frame))


def _rotate_if_told(frame: PILImage.Image) -> PILImage.Image:
    """Return a frame turned upright; as it is if its EXIF data are damaged."""
    try:
        return ImageOps.exif_transpose(frame)
    except _BROKEN:
        return frame.copy()


def _rotate_upright(frame: PILImage.Image) -> PILImage.Image:
    frame.load()
    return ImageOps.exif_transpose(frame)


def _check_size(path: Path, image: PILImage.Image) -> None:
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    width, height = image.size
    if width * height * frames > MOST_PIXELS:
        size = f"{frames} frames of {width} by {height} pixels" if frames > 1 else ""
        raise _too_large(path, size or f"{width} by {height} pixels")


def _too_large(path: Path, pixels: str) -> SizeLimitError:
    most = MOST_PIXELS // 10**6
    return SizeLimitError(
        code="image_too_large",
        problem=f"the image {path.name!r} has {pixels}; at most {most} million are loaded",
        hint="Scale it down first.",
    )


def _eight_bits(frame: PILImage.Image) -> PILImage.Image:
    """Scale a 16-bit or 32-bit grey image to 8 bits, as ComfyUI does: 65535 is white."""
    if not frame.mode.startswith("I"):
        return frame
    values = np.asarray(frame).astype(np.int64) // 255
    return PILImage.fromarray(values.clip(0, 255).astype(np.uint8))
