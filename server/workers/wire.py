"""Frames between the server and its workers: each is a JSON object and some bytes.

The first eight bytes are the two lengths. Nothing is pickled, so that neither side can make the
other run code.
"""

import json
import socket
import struct
import threading
import time
from asyncio import StreamReader
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

LARGEST = 256 * 2**20
"""The most bytes of one part of a frame."""
_LENGTHS = struct.Struct("<II")
_AT_ONCE = 2**18
"""The most bytes that are read at once."""
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode = json.JSONDecoder().decode
_MOST_HELD = 100
_LONGEST_HOLD = 0.02
"""Seconds that a held frame waits for others at most."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: a JSON object and some bytes."""

    body: Mapping[str, Any]
    data: bytes = b""


class BrokenWireError(ConnectionError):
    """The other side sent something that is not a frame."""


def pack(frame: Frame) -> bytes:
    """Return a frame as bytes.

    Raises:
        ValueError: the frame is too large, or its body is not JSON.
    """
    body = _encode(frame.body).encode()
    if max(len(body), len(frame.data)) > LARGEST:
        message = f"a frame of {len(body)} and {len(frame.data)} bytes is too large"
        raise ValueError(message)
    return _LENGTHS.pack(len(body), len(frame.data)) + body + frame.data


class FrameReader:
    """The server's end of the connection, of which as many bytes are read as are there.

    Args:
        reader: the connection.
    """

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._bytes = bytearray()
        """Bytes of frames that nobody has taken yet."""

    async def next(self) -> Frame | None:
        """Return the next frame; None if the other side is gone.

        Raises:
            BrokenWireError: the data is not a frame.
        """
        while (frame := self._take()) is None:
            try:
                read = await self._reader.read(_AT_ONCE)
            except ConnectionResetError:
                return None
            if not read:
                return None
            self._bytes += read
        return frame

    def _take(self) -> Frame | None:
        """Remove a frame from what is read; None if a part of it is still to come."""
        if len(self._bytes) < _LENGTHS.size:
            return None
        body_length, data_length = _lengths(self._bytes)
        middle = _LENGTHS.size + body_length
        end = middle + data_length
        if len(self._bytes) < end:
            return None
        body, data = self._bytes[_LENGTHS.size : middle], bytes(self._bytes[middle:end])
        del self._bytes[:end]
        return _frame(body, data)


class Channel:
    """The worker's end of the connection: blocking, and safe to send from any thread.

    Frames arrive in the order in which they are sent or held.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rb")
        self._lock = threading.Lock()
        self._held: deque[bytes] = deque()
        """Frames to be sent; any thread appends, and whoever has the lock sends them."""
        self._holds = threading.Event()
        self._sender: threading.Thread | None = None

    def send(self, body: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a frame, after those that are held.

        Raises:
            OSError: the connection is closed.
        """
        self._held.append(pack(Frame(body, data)))
        self._flush()

    def hold(self, body: Mapping[str, Any]) -> None:
        """Send a frame together with the next one, or after a moment if none comes.

        Raises:
            OSError: the connection is closed; not noticed by every call.
        """
        self._held.append(pack(Frame(body)))
        if len(self._held) >= _MOST_HELD:
            self._flush()
        if self._sender is None:
            self._start_sender()
        if not self._holds.is_set():
            self._holds.set()

    def _start_sender(self) -> None:
        with self._lock:
            if self._sender is None:
                self._sender = threading.Thread(target=self._send_held, daemon=True)
                self._sender.start()

    def _flush(self) -> None:
        with self._lock:
            waiting = len(self._held)
            if waiting:
                self._socket.sendall(b"".join(self._held.popleft() for _ in range(waiting)))

    def _send_held(self) -> None:
        """Send frames that nothing followed, until the connection is closed."""
        with suppress(OSError):
            while True:
                self._holds.wait()
                time.sleep(_LONGEST_HOLD)
                self._holds.clear()
                self._flush()

    def receive(self) -> Frame | None:
        """Read the next frame; None if the other side is gone.

        Raises:
            BrokenWireError: the data is not a frame.
        """
        start = self._file.read(_LENGTHS.size)
        if len(start) < _LENGTHS.size:
            return None
        body_length, data_length = _lengths(start)
        body, data = self._file.read(body_length), self._file.read(data_length)
        if len(body) < body_length or len(data) < data_length:
            return None
        return _frame(body, data)


def _lengths(start: bytes | bytearray) -> tuple[int, int]:
    lengths = cast("tuple[int, int]", _LENGTHS.unpack_from(start))
    if max(lengths) > LARGEST:
        message = "a frame is longer than allowed"
        raise BrokenWireError(message)
    return lengths


def _frame(body: bytes | bytearray, data: bytes) -> Frame:
    try:
        value = _decode(body.decode())
    except ValueError as error:
        raise BrokenWireError(str(error)) from error
    if not isinstance(value, dict):
        message = "the body of a frame is not a JSON object"
        raise BrokenWireError(message)
    return Frame(cast("dict[str, Any]", value), data)
