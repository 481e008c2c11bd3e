"""PNG files that Pillow can not write, or not as fast: of 16 bits a channel, and of previews.

Previews take half of Pillow's time, and are up to a fifth larger.

Each row is stored as its difference from the one above (filter type 2, Up), where Pillow tries
every filter, and zlib looks for runs only. Source: PNG, third edition (W3C), sections 5, 9 and 10.
"""

import struct
import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np
from torch import Tensor

from nodes.imaging.codec import text_chunks, to_bytes

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for grey, grey with alpha, colours, and colours with alpha, by channels."""
_UP: Final = 2
_LEVEL: Final = 1
_TABLES: Final = 7
"""The size of zlib's tables: as small as it can be before photos take longer."""


def encode_preview(image: Tensor, texts: Mapping[str, str]) -> bytes:
    """Encode [height, width, 1 to 4 channels] as a PNG file with text chunks.

    Raises:
        ValueError: PNG has no such number of channels.
    """
    return _encode(to_bytes(image), 8, texts)


def encode_deep_png(image: Tensor, texts: Mapping[str, str]) -> bytes:
    """Encode [height, width, 1 to 4 channels] as a PNG file of 16 bits a channel.

    Values are 65535 times those of the image, truncated, not rounded, as those of 8 bits are.

    Raises:
        ValueError: PNG has no such number of channels.
    """
    values = image.detach().cpu().float().nan_to_num(0.0).clamp(0, 1).numpy()
    return _encode((values * 65535.0).astype(">u2"), 16, texts)


def _encode(pixels: np.ndarray, bits: int, texts: Mapping[str, str]) -> bytes:
    height, width, channels = pixels.shape
    if channels not in _COLOUR_TYPES:
        message = f"a PNG file has 1 to 4 channels, not {channels}"
        raise ValueError(message)
    header = struct.pack(">IIBBBBB", width, height, bits, _COLOUR_TYPES[channels], 0, 0, 0)
    named = [chunk[:2] for chunk in text_chunks(texts).chunks]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    packed = _deflate(_differences(rows))
    chunks = [(b"IHDR", header), *named, (b"IDAT", packed), (b"IEND", b"")]
    return _SIGNATURE + b"".join(part for kind, body in chunks for part in _chunk(kind, body))


def _differences(rows: np.ndarray) -> np.ndarray:
    """Return the filter's number and the differences of each row: [height, 1 + bytes of a row]."""
    filtered = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    return filtered


def _deflate(data: np.ndarray) -> bytes:
    """Return bytes as a zlib stream."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, _TABLES, zlib.Z_RLE)
    return compressor.compress(data.data) + compressor.flush()


def _chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """Return the parts of a chunk: its length, its kind, its body, its checksum."""
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return struct.pack(">I", len(body)), kind, body, struct.pack(">I", checksum)
