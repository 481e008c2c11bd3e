"""Frames between the server and its workers: each is a JSON object and some bytes.

The first eight bytes are the two lengths. Frames without bytes that a worker sends together are
written as one, whose body is the list of their bodies. Nothing is pickled, so that neither side can
make the other run code.
"""

import json
import socket
import struct
import threading
import time
from asyncio import StreamReader
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

LARGEST = 256 * 2**20
"""The most bytes of one part of a frame."""
_LENGTHS = struct.Struct("<II")
_AT_ONCE = 2**18
"""The most bytes that are read at once, and of bodies that are written as one."""
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
    return _join(_text_of(frame), frame.data)


def _text_of(frame: Frame) -> str:
    """Return the body of a frame as JSON, in ASCII; raises what `pack` raises."""
    text = _encode(frame.body)
    if max(len(text), len(frame.data)) > LARGEST:
        message = f"a frame of {len(text)} and {len(frame.data)} bytes is too large"
        raise ValueError(message)
    return text


def _join(text: str, data: bytes = b"") -> bytes:
    return _LENGTHS.pack(len(text), len(data)) + text.encode() + data


class FrameReader:
    """The server's end of the connection, of which as many bytes are read as are there.

    Args:
        reader: the connection.
    """

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._bytes = bytearray()
        """Bytes of frames that are still to come in part."""
        self._ready: deque[Frame] = deque()

    async def next(self) -> Frame | None:
        """Return the next frame; None if the other side is gone.

        Raises:
            BrokenWireError: the data is not a frame.
        """
        while not self._ready and not self._take():
            try:
                read = await self._reader.read(_AT_ONCE)
            except ConnectionResetError:
                return None
            if not read:
                return None
            self._bytes += read
        return self._ready.popleft()

    def _take(self) -> bool:
        """Make what was written as one frame ready; False if a part of it is still to come."""
        if len(self._bytes) < _LENGTHS.size:
            return False
        body_length, data_length = _lengths(self._bytes)
        middle = _LENGTHS.size + body_length
        end = middle + data_length
        if len(self._bytes) < end:
            return False
        body, data = self._bytes[_LENGTHS.size : middle], bytes(self._bytes[middle:end])
        del self._bytes[:end]
        self._ready.extend(_frames(body, data))
        return True


class FrameSplitter:
    """Cuts what comes from a connection where one frame ends, without reading the frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def take(self, data: bytes) -> bytes:
        """Add bytes, and return those of all frames that are whole by now.

        Raises:
            BrokenWireError: the data is not a frame.
        """
        self._bytes += data
        end = 0
        while len(self._bytes) >= end + _LENGTHS.size:
            lengths = _lengths(self._bytes[end : end + _LENGTHS.size])
            next_end = end + _LENGTHS.size + sum(lengths)
            if next_end > len(self._bytes):
                break
            end = next_end
        whole = bytes(self._bytes[:end])
        del self._bytes[:end]
        return whole


class Channel:
    """The worker's end of the connection: blocking, and safe to send from any thread.

    Frames arrive in the order in which they are sent or held.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._file = end.makefile("rb")
        self._lock = threading.Lock()
        self._held: deque[str | bytes] = deque()
        """Frames to be sent, as bytes or as the text of a body; any thread appends, and whoever
        has the lock sends them."""
        self._received: deque[Frame] = deque()
        self._holds = threading.Event()
        self._sender: threading.Thread | None = None

    def send(self, body: Mapping[str, Any], data: bytes = b"") -> None:
        """Send a frame, after those that are held.

        Raises:
            OSError: the connection is closed.
        """
        frame = Frame(body, data)
        self._held.append(pack(frame) if data else _text_of(frame))
        self._flush()

    def hold(self, body: Mapping[str, Any]) -> None:
        """Send a frame together with the next one, or after a moment if none comes.

        Raises:
            OSError: the connection is closed; not noticed by every call.
        """
        self._held.append(_text_of(Frame(body)))
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
                parts = (self._held.popleft() for _ in range(waiting))
                self._socket.sendall(b"".join(_in_frames(parts)))

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
        if self._received:
            return self._received.popleft()
        start = self._file.read(_LENGTHS.size)
        if len(start) < _LENGTHS.size:
            return None
        body_length, data_length = _lengths(start)
        body, data = self._file.read(body_length), self._file.read(data_length)
        if len(body) < body_length or len(data) < data_length:
            return None
        self._received.extend(_frames(body, data))
        return self._received.popleft()


def _in_frames(parts: Iterable[str | bytes]) -> Iterator[bytes]:
    """Yield frames as bytes; bodies that follow each other share one, up to a size."""
    texts: list[str] = []
    length = 0
    for part in parts:
        if isinstance(part, bytes) or length + len(part) > _AT_ONCE:
            yield from _frame_of(texts)
            texts, length = [], 0
        if isinstance(part, bytes):
            yield part
        else:
            texts.append(part)
            length += len(part)
    yield from _frame_of(texts)


def _frame_of(texts: Sequence[str]) -> Iterator[bytes]:
    """Yield the frame of these bodies, if there are any."""
    if texts:
        yield _join(texts[0] if len(texts) == 1 else f"[{','.join(texts)}]")


def _lengths(start: bytes | bytearray) -> tuple[int, int]:
    lengths = cast("tuple[int, int]", _LENGTHS.unpack_from(start))
    if max(lengths) > LARGEST:
        message = "a frame is longer than allowed"
        raise BrokenWireError(message)
    return lengths


def _frames(body: bytes | bytearray, data: bytes) -> list[Frame]:
    """Return the frames that were written as one."""
    try:
        value = _decode(body.decode())
    except ValueError as error:
        raise BrokenWireError(str(error)) from error
    bodies = cast("list[object]", value) if isinstance(value, list) else [value]
    if not bodies or not all(isinstance(each, dict) for each in bodies):
        message = "the body of a frame is neither a JSON object nor a list of some"
        raise BrokenWireError(message)
    return [Frame(cast("dict[str, Any]", each), data) for each in bodies]
