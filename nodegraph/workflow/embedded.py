"""The texts that pictures, sounds and videos carry, read without decoding the rest."""

import struct
import zlib
from collections.abc import Iterator

from nodegraph.workflow.videos import EBML, is_mp4, mp4_texts, webm_texts

PNG = b"\x89PNG\r\n\x1a\n"
RIFF = b"RIFF"
JPEG = b"\xff\xd8\xff"
FLAC = b"fLaC"
_STARTS = (PNG, RIFF, JPEG, FLAC, EBML)
FORMATS = "PNG, WebP, JPEG, FLAC, MP4 or WebM"
"""The file formats that can carry texts, for messages."""
MOST_TEXT = 64 << 20
"""Bytes that one compressed text may unpack to."""

_BYTE, _ASCII, _LONG, _UNDEFINED = 1, 2, 4, 7
_SIZES = {_BYTE: 1, _ASCII: 1, _LONG: 4, _UNDEFINED: 1}
"""The bytes of one item of the types of EXIF tags that are read."""
_IMAGE_DIRECTORY, _USER_COMMENT = 0x8769, 0x9286
_APP1, _START_OF_SCAN = 0xE1, 0xDA
_VORBIS_COMMENT = 4


def carries_texts(data: bytes) -> bool:
    """Say if data are in one of the formats that can carry texts."""
    return data.startswith(_STARTS) or is_mp4(data)


def texts_of(data: bytes) -> dict[str, str]:
    """Return a file's texts by keyword: `prompt`, `workflow`, `parameters`, ….

    Broken texts are left out, for the others may be fine.
    """
    if is_mp4(data):
        return dict(mp4_texts(data))
    readers = {
        PNG: _png_texts,
        RIFF: _webp_texts,
        JPEG: _jpeg_texts,
        FLAC: _flac_texts,
        EBML: webm_texts,
    }
    read = next((read for start, read in readers.items() if data.startswith(start)), None)
    return dict(read(data)) if read else {}


def _png_texts(data: bytes) -> Iterator[tuple[str, str]]:
    at = len(PNG)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        read = {b"tEXt": _text, b"comf": _text, b"zTXt": _ztext, b"iTXt": _itext}.get(kind)
        found = read(body) if read else None
        if found:
            yield found
        at += length + 12


def _text(body: bytes) -> tuple[str, str] | None:
    """Read tEXt, or `comf` of ComfyUI's animated images: keyword, 0, text."""
    keyword, zero, text = body.partition(b"\0")
    return (keyword.decode("latin-1"), _decode(text)) if zero else None


def _ztext(body: bytes) -> tuple[str, str] | None:
    """Read zTXt: keyword, 0, method, zlib-packed text."""
    keyword, zero, rest = body.partition(b"\0")
    text = _unpack(rest[1:]) if zero else None
    return None if text is None else (keyword.decode("latin-1"), _decode(text))


def _decode(text: bytes) -> str:
    """Decode UTF-8, which the editor writes, or else Latin-1, as the format has it."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _itext(body: bytes) -> tuple[str, str] | None:
    """Read iTXt: keyword, 0, packed?, method, language, 0, translated keyword, 0, UTF-8."""
    keyword, _, rest = body.partition(b"\0")
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3:
        return None
    text = _unpack(parts[2]) if rest[0] else parts[2]
    return None if text is None else (keyword.decode("latin-1"), text.decode("utf-8", "replace"))


def _unpack(packed: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MOST_TEXT)
    except zlib.error:
        return None
    return text if unpacker.eof else None


def _webp_texts(data: bytes) -> Iterator[tuple[str, str]]:
    at = 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            yield from _exif_texts(data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        at += 8 + length + length % 2


def _jpeg_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Read segments of marker, length (itself included) and body, up to the image data."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _START_OF_SCAN:
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if data[at + 1] == _APP1 and body.startswith(b"Exif\0\0"):
            yield from _exif_texts(body[6:])
        at += 2 + max(length, 2)


def _flac_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Read blocks of type, length and body; the last block's type has its highest bit set."""
    at, last = len(FLAC), False
    while at + 4 <= len(data) and not last:
        kind, last = data[at] & 0x7F, bool(data[at] & 0x80)
        length = int.from_bytes(data[at + 1 : at + 4], "big")
        if kind == _VORBIS_COMMENT:
            yield from _comments(data[at + 4 : at + 4 + length])
        at += 4 + length


def _comments(body: bytes) -> Iterator[tuple[str, str]]:
    """Read Vorbis comments: vendor, count, then each `KEY=text`, every text after its length."""
    try:
        (at,) = struct.unpack_from("<I", body)
        (count,) = struct.unpack_from("<I", body, at + 4)
        at += 8
        for _ in range(count):
            (length,) = struct.unpack_from("<I", body, at)
            text = body[at + 4 : at + 4 + length].decode("utf-8", "replace")
            key, equals, value = text.partition("=")
            if equals:
                yield key.lower(), value
            at += 4 + length
    except struct.error:
        return


def _exif_texts(exif: bytes) -> Iterator[tuple[str, str]]:
    """Read ComfyUI's `keyword:text` from the string tags of the first directory.

    The comment of the directory of the image's own data is A1111's `parameters`.
    """
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        if order is None:
            return
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        for tag, kind, value in _tags(exif, order, start):
            if kind == _ASCII:
                text = value.rstrip(b"\0").decode("utf-8", "replace")
                keyword, colon, text = text.partition(":")
                if colon:
                    yield keyword.strip(), text.strip()
            elif tag == _IMAGE_DIRECTORY and kind == _LONG:
                (inner,) = struct.unpack(f"{order}I", value)
                yield from _comments_of_image(exif, order, inner)
    except struct.error:
        return


def _tags(exif: bytes, order: str, start: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield the tags of a directory with their types and values; only types that are read."""
    (count,) = struct.unpack_from(f"{order}H", exif, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, items = struct.unpack_from(f"{order}HHI", exif, at)
        if kind in _SIZES:
            size = items * _SIZES[kind]
            (offset,) = struct.unpack_from(f"{order}I", exif, at + 8)
            first = offset if size > 4 else at + 8
            yield tag, kind, exif[first : first + size]


def _comments_of_image(exif: bytes, order: str, start: int) -> Iterator[tuple[str, str]]:
    for tag, kind, value in _tags(exif, order, start):
        if tag == _USER_COMMENT and kind in (_BYTE, _UNDEFINED):
            yield "parameters", _comment(value)


def _comment(value: bytes) -> str:
    """Decode a comment: eight bytes for the character set, then the text in it."""
    charset, text = value[:8], value[8:]
    if not charset.startswith(b"UNICODE"):
        return _decode(text.rstrip(b"\0"))
    # The file's byte order counts, but writers often use another; most letters have a zero byte.
    little = text[1::2].count(0) > text[::2].count(0)
    return text.decode("utf-16-le" if little else "utf-16-be", "replace").rstrip("\0")
