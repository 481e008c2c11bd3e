"""Bytes of files on their way to a device: read ahead by several threads, copied beside that.

Each byte is read once, into one of a few pinned buffers, and copied from there: a file is read as
fast as the disk gives it, and the link to the device is busy with what was read before.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, Self, TypeAlias, cast

import torch
from torch import Tensor

from nodegraph.runtime.devices import pinned_bytes
from nodes.models.residency.side_stream import Event, SideStream
from nodes.models.weights.errors import TruncatedFileError
from nodes.models.weights.stored_bytes import ByteRange

READERS: Final = 3
"""The threads that read: one alone does not keep a fast disk busy."""
BUFFERS: Final = READERS + 1
"""One more, that is copied from."""
BUFFER_BYTES: Final = 16 << 20

Read: TypeAlias = Callable[[Path, int, memoryview], int]
"""Reads bytes of a file from an offset on; returns how many there were."""


class OpenFiles:
    """Files that stay open from their first read to `close`; any thread may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Path, int] = {}

    def read(self, path: Path, start: int, target: memoryview) -> int:
        """Fill memory from a file, from an offset on; return the bytes that there were."""
        with self._lock:
            if path not in self._open:
                self._open[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            file = self._open[path]
        done = 0
        while count := os.preadv(file, [target[done:]], start + done):
            done += count
        return done

    def close(self) -> None:
        """Close them all."""
        while self._open:
            os.close(self._open.popitem()[1])


class _Part(NamedTuple):
    """A piece of one range."""

    path: Path
    start: int
    """Its first byte in the file."""
    place: int
    """Its first byte in the buffer."""
    nbytes: int


@dataclass(slots=True, eq=False)
class _Buffer:
    memory: Tensor
    free: Event = None
    """The end of the last copy from it."""


class _Load(NamedTuple):
    """Pieces that lie in one buffer as soon as they have been read."""

    parts: deque[_Part]
    buffer: _Buffer
    read: Future[None]


class StagedReads:
    """Ranges of bytes in files, which `take` brings to a device one after the other.

    To be used as a context, in the thread that computes with the bytes.

    Args:
        ranges: in the order in which they are taken; none is empty.
        device: that the bytes go to.
        read: reads the files; None: the system does.
    """

    def __init__(
        self, ranges: Sequence[ByteRange], device: torch.device, read: Read | None = None
    ) -> None:
        self._ranges = iter(ranges)
        self._device = device
        self._files = OpenFiles()
        self._read = read or self._files.read
        self._stream = SideStream(device)
        self._threads = ThreadPoolExecutor(READERS, "read-weights")
        total = sum(each.nbytes for each in ranges)
        self._left = _divide(ranges, min(total, BUFFER_BYTES))
        self._total = total
        self._coming: deque[_Load] = deque()

    def __enter__(self) -> Self:
        size = max(min(self._total, BUFFER_BYTES), 1)
        count = min(-(-self._total // size), BUFFERS)
        memory = pinned_bytes(count * size, self._device)
        for place in range(count):
            self._send(_Buffer(memory[place * size : (place + 1) * size]))
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._files.close()

    def take(self) -> Tensor:
        """Return the bytes of the next range on the device, [nbytes] uint8.

        Raises:
            OSError: its file can not be read.
            TruncatedFileError: its file has become shorter.
        """
        source = next(self._ranges)
        target = torch.empty(source.nbytes, dtype=torch.uint8, device=self._device)
        arrived = free = self._stream.mark()
        done = 0
        try:
            while done < source.nbytes:
                arrived, count = self._copy_part(target[done:], free)
                done += count
        finally:
            self._stream.wait(arrived)
        return target

    def _copy_part(self, target: Tensor, free: Event) -> tuple[Event, int]:
        """Begin to copy the next piece; return the end of the copy, and the piece's bytes."""
        load = self._coming[0]
        load.read.result()
        part = load.parts.popleft()
        source = load.buffer.memory[part.place : part.place + part.nbytes]
        arrived = self._stream.copy(source, target[: part.nbytes], free)
        if not load.parts:
            self._coming.popleft()
            load.buffer.free = arrived
            self._send(load.buffer)
        return arrived, part.nbytes

    def _send(self, buffer: _Buffer) -> None:
        """Let the next pieces be read into a buffer, if there are any."""
        parts = next(self._left, None)
        if parts is not None:
            read = self._threads.submit(self._fill, tuple(parts), buffer)
            self._coming.append(_Load(parts, buffer, read))

    def _fill(self, parts: Sequence[_Part], buffer: _Buffer) -> None:
        if buffer.free is not None:
            buffer.free.synchronize()
        memory = memoryview(cast("Any", buffer.memory.numpy()))
        for part in parts:
            target = memory[part.place : part.place + part.nbytes]
            found = self._read(part.path, part.start, target)
            if found < part.nbytes:
                end = part.start + part.nbytes
                raise TruncatedFileError(part.path, end, part.start + found)


def _divide(ranges: Sequence[ByteRange], size: int) -> Iterator[deque[_Part]]:
    """Yield the pieces for one buffer after the other, each piece as large as there is room."""
    parts = deque[_Part]()
    place = 0
    for path, start, nbytes in ranges:
        done = 0
        while done < nbytes:
            count = min(nbytes - done, size - place)
            parts.append(_Part(path, start + done, place, count))
            done, place = done + count, place + count
            if place == size:
                yield parts
                parts, place = deque[_Part](), 0
    if parts:
        yield parts
