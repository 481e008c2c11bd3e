"""Frames between the server and its workers: a JSON object each, and some bytes.

Eight bytes tell how long the JSON and the bytes are. No pickle: neither side can make the other
run anything.
"""

import json
import socket
import struct
import threading
from asyncio import IncompleteReadError, StreamReader
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

LARGEST = 256 * 2**20
"""Bytes that one part of a frame may have."""
_LENGTHS = struct.Struct("<II")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    body: Mapping[str, Any]
    data: bytes = b""


class BrokenWireError(ConnectionError):
    """The other side sent what is no frame."""


def pack(frame: Frame) -> bytes:
    """A frame as bytes.

    Raises:
        ValueError: it is too large, or no JSON.
    """
    body = json.dumps(frame.body, separators=(",", ":"), allow_nan=False).encode()
    if max(len(body), len(frame.data)) > LARGEST:
        message = f"a frame of {len(body)} and {len(frame.data)} bytes is too large"
        raise ValueError(message)
    return _LENGTHS.pack(len(body), len(frame.data)) + body + frame.data


async def read_frame(reader: StreamReader) -> Frame | None:
    """The next frame; None where the other side is gone.

    Raises:
        BrokenWireError: that is no frame.
    """
    try:
        lengths = _lengths(await reader.readexactly(_LENGTHS.size))
        body = await reader.readexactly(lengths[0])
        return _frame(body, await reader.readexactly(lengths[1]))
    except (IncompleteReadError, ConnectionResetError):
        return None


class Channel:
    """A worker's end: blocking, and any thread may send."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rb")
        self._lock = threading.Lock()

    def send(self, body: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a frame, whole.

        Raises:
            OSError: the other side is gone.
        """
        packed = pack(Frame(body, data))
        with self._lock:
            self._socket.sendall(packed)

    def receive(self) -> Frame | None:
        """The next frame; None where the other side is gone.

        Raises:
            BrokenWireError: that is no frame.
        """
        start = self._file.read(_LENGTHS.size)
        if len(start) < _LENGTHS.size:
            return None
        body_length, data_length = _lengths(start)
        body, data = self._file.read(body_length), self._file.read(data_length)
        if len(body) < body_length or len(data) < data_length:
            return None
        return _frame(body, data)


def _lengths(start: bytes) -> tuple[int, int]:
    lengths = cast("tuple[int, int]", _LENGTHS.unpack(start))
    if max(lengths) > LARGEST:
        message = "a frame of an impossible length"
        raise BrokenWireError(message)
    return lengths


def _frame(body: bytes, data: bytes) -> Frame:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise BrokenWireError(str(error)) from error
    if not isinstance(value, dict):
        message = "a frame that is no object"
        raise BrokenWireError(message)
    return Frame(cast("dict[str, Any]", value), data)
