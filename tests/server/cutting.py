"""A proxy that cuts connections at random, to see what survives it."""

import random
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

_PIECE = 4096
_AT_ONCE = struct.pack("ii", 1, 0)
"""For SO_LINGER: what was not sent yet is thrown away, and the other side is told so (RST)."""


class Cutter:
    """Hands bytes on between clients and a server, and cuts each connection after some of them.

    Args:
        port: the server's.
        seed: of what is random.
        cuts: after so many, connections are left alone.
        span: how many of the server's bytes are let through before a cut: from, and below.
    """

    def __init__(self, port: int, seed: int, cuts: int, span: tuple[int, int]) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._left = cuts
        self._span = span
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()
        self.cuts = 0
        """How many connections were cut so far."""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def close(self) -> None:
        """Listen no more, and wait until all connections are gone."""
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listening.accept()
                limit = self._chance.randrange(*self._span) if self._left > 0 else None
                self._left -= limit is not None
                thread = threading.Thread(target=self._serve, args=(ours, limit), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, ours: socket.socket, limit: int | None) -> None:
        with ours, socket.create_connection(("127.0.0.1", self._port)) as theirs:
            asking = threading.Thread(target=_pump, args=(ours, theirs, None), daemon=True)
            asking.start()
            if _pump(theirs, ours, limit):
                self.cuts += 1
                if self._chance.random() < 0.5:
                    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            for end in (ours, theirs):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            asking.join()


def _pump(source: socket.socket, sink: socket.socket, limit: int | None) -> bool:
    """Hand on at most so many bytes; whether that was the limit."""
    with suppress(OSError):
        while limit is None or limit > 0:
            data = source.recv(_PIECE if limit is None else min(_PIECE, limit))
            if not data:
                with suppress(OSError):
                    sink.shutdown(socket.SHUT_RDWR)
                return False
            sink.sendall(data)
            if limit is not None:
                limit -= len(data)
        return True
    return False


@contextmanager
def cutting(
    url: str, *, seed: int, cuts: int, span: tuple[int, int] = (100, 3000)
) -> Generator[Cutter]:
    """A proxy before a server; see `Cutter`."""
    port = urlsplit(url).port
    assert port
    cutter = Cutter(port, seed, cuts, span)
    try:
        yield cutter
    finally:
        cutter.close()
