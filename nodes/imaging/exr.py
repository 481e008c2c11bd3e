"""OpenEXR files: images in linear light, of 16 or 32 bits a channel.

One part of scanlines with ZIP compression, which changes no value. Sources: "OpenEXR File Layout"
and "Technical Introduction to OpenEXR" (openexr.com); ITU-R BT.2100 (HLG); IEC 61966-2-1 (sRGB).
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

ColourSpace: TypeAlias = Literal["sRGB", "HDR", "linear", "linear ACEScg"]

_MAGIC = struct.pack("<II", 20000630, 2)
_ZIP = 3
_ROWS = 16
"""The rows of a block that ZIP compresses together."""
_CHANNELS: Mapping[int, str] = MappingProxyType({1: "Y", 3: "RGB", 4: "RGBA"})
_HALF, _FLOAT = 1, 2
_LONGEST_NAME = 31
_REC709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
_PRIMARIES: Mapping[ColourSpace, tuple[float, ...]] = MappingProxyType(
    {
        "sRGB": _REC709,
        "linear": _REC709,
        "HDR": (0.708, 0.292, 0.17, 0.797, 0.131, 0.046, 0.3127, 0.329),
        "linear ACEScg": (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767),
    }
)
"""The x and y of red, green, blue and white of the gamut that each is written in."""
_HLG_A = 0.17883277
_HLG_B = 1 - 4 * _HLG_A
_HLG_C = 0.5 - _HLG_A * float(np.log(4 * _HLG_A))


def encode_exr(image: Tensor, texts: Mapping[str, str], space: ColourSpace, *, half: bool) -> bytes:
    """Encode an image as an OpenEXR file in linear light.

    Args:
        image: [height, width, 1, 3 or 4 channels].
        texts: are stored as attributes; names of more than 31 characters are left out.
        space: of the image: sRGB, HLG with the primaries of BT.2020 (`HDR`), or linear light.
        half: True for 16 bits a channel, False for 32.

    Raises:
        ValueError: there is another number of channels.
    """
    height, width, count = image.shape
    if count not in _CHANNELS:
        message = f"an EXR file has 1, 3 or 4 channels, not {count}"
        raise ValueError(message)
    pixels = to_linear(image.detach().float().cpu(), space).numpy().astype("<f2" if half else "<f4")
    names = _CHANNELS[count]
    planes = np.stack([pixels[..., names.index(name)] for name in sorted(names)], axis=1)
    header = _MAGIC + b"".join(_attributes(width, height, names, texts, space, half=half)) + b"\0"
    blocks = [_block(row, planes[row : row + _ROWS].tobytes()) for row in range(0, height, _ROWS)]
    start = len(header) + 8 * len(blocks)
    sizes = np.cumsum([0, *(len(block) for block in blocks)])[:-1]
    return header + (sizes + start).astype("<u8").tobytes() + b"".join(blocks)


def to_linear(image: Tensor, space: ColourSpace) -> Tensor:
    """Return an image in linear light; its alpha channel stays as it is.

    Args:
        image: [..., 1, 3 or 4 channels].
        space: see `encode_exr`.
    """
    if space not in ("sRGB", "HDR"):
        return image
    colours = image[..., :3]
    decode = _decode_srgb if space == "sRGB" else _decode_hlg
    return torch.cat([decode(colours), image[..., 3:]], dim=-1)


def _decode_srgb(x: Tensor) -> Tensor:
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0) + 0.055) / 1.055) ** 2.4)


def _decode_hlg(x: Tensor) -> Tensor:
    """Return scene light in [0, 1] (BT.2100-2, table 5, the inverse of the OETF)."""
    x = x.clamp(0, 1)
    return torch.where(x <= 0.5, x * x / 3, (((x - _HLG_C) / _HLG_A).exp() + _HLG_B) / 12)


def _attributes(
    width: int,
    height: int,
    names: str,
    texts: Mapping[str, str],
    space: ColourSpace,
    *,
    half: bool,
) -> Iterator[bytes]:
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    kind = _HALF if half else _FLOAT
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", kind, 0, 1, 1) for name in sorted(names)
    )
    yield _attribute("channels", "chlist", listed + b"\0")
    yield _attribute("chromaticities", "chromaticities", struct.pack("<8f", *_PRIMARIES[space]))
    yield _attribute("compression", "compression", bytes([_ZIP]))
    yield _attribute("dataWindow", "box2i", window)
    yield _attribute("displayWindow", "box2i", window)
    yield _attribute("lineOrder", "lineOrder", b"\0")
    yield _attribute("pixelAspectRatio", "float", struct.pack("<f", 1.0))
    yield _attribute("screenWindowCenter", "v2f", struct.pack("<2f", 0.0, 0.0))
    yield _attribute("screenWindowWidth", "float", struct.pack("<f", 1.0))
    for name, text in texts.items():
        if 0 < len(name.encode()) <= _LONGEST_NAME:
            yield _attribute(name, "string", text.encode())


def _attribute(name: str, kind: str, value: bytes) -> bytes:
    return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value


def _block(row: int, data: bytes) -> bytes:
    """Return rows as ZIP stores them: even and odd bytes apart, as differences, then deflated."""
    values = np.frombuffer(data, np.uint8)
    apart = np.concatenate([values[0::2], values[1::2]])
    differences = apart.copy()
    differences[1:] = apart[1:] - apart[:-1] + 128
    packed = zlib.compress(differences.tobytes(), 4)
    stored = packed if len(packed) < len(data) else data
    return struct.pack("<ii", row, len(stored)) + stored
