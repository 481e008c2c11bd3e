"""The texts that MP4 and WebM files carry, read without decoding the rest.

ComfyUI saves a workflow as tags of its own (`prompt`, `workflow`), VideoHelperSuite as one JSON in
the tag `comment`.
"""

import struct
from collections.abc import Iterator

EBML = b"\x1a\x45\xdf\xa3"
"""The first bytes of WebM and Matroska."""
_FTYP = b"ftyp"

_INSIDE = (b"moov", b"udta", b"ilst")
"""MP4's boxes that hold boxes."""
_LARGE, _TO_THE_END = 1, 0
"""The sizes of a box that say where its size is instead."""
_MOST_DEPTH = 8

_SEGMENT, _TAGS, _TAG, _SIMPLE_TAG = 0x18538067, 0x1254C367, 0x7373, 0x67C8
_NAME, _STRING = 0x45A3, 0x4487
_MASTERS = (_SEGMENT, _TAGS, _TAG)


def is_mp4(data: bytes) -> bool:
    """Say if data are an MP4 or QuickTime file."""
    return data[4:8] == _FTYP


def mp4_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the tags of an MP4 file; ISO/IEC 14496-12, and the key list of QuickTime."""
    yield from _tags(data, 0, len(data), [], 0)


def _tags(
    data: bytes, start: int, end: int, keys: list[str], depth: int
) -> Iterator[tuple[str, str]]:
    """Yield the tags in a row of boxes.

    Args:
        data: the file.
        start: where the row begins.
        end: where it ends.
        keys: the names of the tags that have numbers, in their order; filled on the way.
        depth: the number of boxes around it.
    """
    for kind, body, after in _boxes(data, start, end):
        if depth >= _MOST_DEPTH:
            return
        if kind in _INSIDE:
            yield from _tags(data, body, after, keys, depth + 1)
        elif kind == b"meta":
            # QuickTime's has no version and flags before its boxes.
            plain = data[body + 4 : body + 8] == b"hdlr"
            yield from _tags(data, body if plain else body + 4, after, keys, depth + 1)
        elif kind == b"keys":
            keys[:] = [_decode(data[k:n]) for _, k, n in _boxes(data, body + 8, after)]
        else:
            yield from _tag(data, kind, body, after, keys)


def _tag(
    data: bytes, kind: bytes, body: int, after: int, keys: list[str]
) -> Iterator[tuple[str, str]]:
    """Yield a tag: a box named by its number or by a sign such as ©cmt, with a box `data`."""
    number = int.from_bytes(kind, "big")
    names = {b"\xa9cmt": "comment", b"\xa9nam": "title"}
    name = keys[number - 1] if 0 < number <= len(keys) else names.get(kind)
    if name is None:
        return
    for inner, start, end in _boxes(data, body, after):
        if inner == b"data":
            yield name.rpartition(".")[2].lower(), _decode(data[start + 8 : end])


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box: its kind, and where its body begins and ends."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == _LARGE and at + 16 <= end:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        elif size == _TO_THE_END:
            size = end - at
        if size < head:
            return
        yield kind, at + head, min(at + size, end)
        at += size


def webm_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the tags of a WebM file (RFC 8794, RFC 9559)."""
    pending = [(0, len(data))]
    while pending:
        start, end = pending.pop()
        for key, body, after in _elements(data, start, end):
            if key in _MASTERS:
                pending.append((body, after))
            elif key == _SIMPLE_TAG:
                parts = {inner: data[a:b] for inner, a, b in _elements(data, body, after)}
                if _NAME in parts and _STRING in parts:
                    yield _decode(parts[_NAME]).lower(), _decode(parts[_STRING])


def _elements(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield each element: its id, and where its body begins and ends."""
    at = start
    while at < end:
        key, at = _number(data, at, keep_marker=True)
        size, at = _number(data, at, keep_marker=False)
        if key is None or at > end:
            return
        after = end if size is None else min(at + size, end)
        yield key, at, after
        at = after


def _number(data: bytes, at: int, *, keep_marker: bool) -> tuple[int | None, int]:
    """Read a number of 1 to 8 bytes and what follows it; None if it is unknown or broken."""
    first = data[at] if at < len(data) else 0
    length = 9 - first.bit_length()
    if not first or at + length > len(data):
        return None, len(data) + 1
    value = int.from_bytes(data[at : at + length], "big")
    bits = 7 * length
    plain = value & ((1 << bits) - 1)
    if keep_marker:
        return value, at + length
    return (None if plain == (1 << bits) - 1 else plain), at + length


def _decode(text: bytes) -> str:
    return text.rstrip(b"\0").decode("utf-8", "replace")
