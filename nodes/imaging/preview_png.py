"""PNG files of previews: in half of Pillow's time, and up to a fifth larger.

Each row is stored as its difference from the one above (filter type 2, Up), where Pillow tries
every filter, and zlib looks for runs only. Rows that are like the one above, as in masks and in
images of one colour, are compressed once for all. Sources: PNG, third edition (W3C), sections 5, 9,
10; RFC 1950, RFC 1951.
"""

import struct
import zlib
from collections.abc import Mapping
from functools import lru_cache
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np
from torch import Tensor

from nodes.imaging.codec import text_chunks, to_bytes

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for grey, grey with alpha, colours, and colours with alpha, by channels."""
_UP: Final = 2
_BLOCK: Final = 32
"""Rows that are compressed together."""
_ZLIB_HEADER: Final = b"\x78\x01"
_LAST_BLOCK: Final = b"\x03\x00"
"""A block without data that is marked as the last."""
_ADLER: Final = 65521
"""The largest prime below 2**16, which Adler-32 counts up to."""
_LEVEL: Final = 1
_TABLES: Final = 7
"""The size of zlib's tables: as small as it can be before photos take longer."""


def encode_preview(image: Tensor, texts: Mapping[str, str]) -> bytes:
    """Encode [height, width, 1 to 4 channels] as a PNG file with text chunks.

    Raises:
        ValueError: PNG has no such number of channels.
    """
    pixels = to_bytes(image)
    height, width, channels = pixels.shape
    if channels not in _COLOUR_TYPES:
        message = f"a PNG file has 1 to 4 channels, not {channels}"
        raise ValueError(message)
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    named = [chunk[:2] for chunk in text_chunks(texts).chunks]
    data = _differences(pixels.reshape(height, -1)).tobytes()
    packed = _compress(data, 1 + width * channels)
    chunks = [(b"IHDR", header), *named, (b"IDAT", packed), (b"IEND", b"")]
    return _SIGNATURE + b"".join(part for kind, body in chunks for part in _chunk(kind, body))


def _differences(rows: np.ndarray) -> np.ndarray:
    """Return the filter's number and the differences of each row: [height, 1 + bytes of a row]."""
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered


def _compress(data: bytes, row: int) -> bytes:
    """Return the zlib stream of rows of so many bytes."""
    same = _same_rows(row)
    size = len(same.data)
    blocks = (data[start : start + size] for start in range(0, len(data), size))
    parts, checksum = [_ZLIB_HEADER], 1
    for is_same, stretch in groupby(blocks, same.data.__eq__):
        if is_same:
            for _ in stretch:
                parts.append(same.packed)
                checksum = _join_checksums(checksum, same.checksum, size)
        else:
            other = b"".join(stretch)
            parts.append(_deflate(other))
            checksum = zlib.adler32(other, checksum)
    return b"".join([*parts, _LAST_BLOCK, struct.pack(">I", checksum)])


class _Rows(NamedTuple):
    """Some rows: their bytes, the same compressed, and their Adler-32 checksum."""

    data: bytes
    packed: bytes
    checksum: int


@lru_cache(maxsize=64)
def _same_rows(row: int) -> _Rows:
    """Return rows of so many bytes, each of which is like the one above."""
    data = (bytes([_UP]) + bytes(row - 1)) * _BLOCK
    return _Rows(data, _deflate(data), zlib.adler32(data))


def _deflate(data: bytes) -> bytes:
    """Return deflate blocks that end with a whole byte and refer to nothing before them."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, _TABLES, zlib.Z_RLE)
    return compressor.compress(data) + compressor.flush(zlib.Z_FULL_FLUSH)


def _join_checksums(first: int, second: int, length: int) -> int:
    """Return the Adler-32 checksum of two parts from those of each (RFC 1950, section 9).

    Args:
        first: the checksum of the first part.
        second: that of the second part.
        length: the bytes of the second part.
    """
    low, high = first & 0xFFFF, first >> 16
    other_low, other_high = second & 0xFFFF, second >> 16
    total = (high + other_high + (low - 1) * length) % _ADLER
    return total << 16 | (low + other_low - 1) % _ADLER


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a chunk: its length, its kind, its body, its checksum."""
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)
