"""A proxy before an object store, which fails at will."""

import re
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

Trouble = Callable[[str, Callable[[], bytes]], bytes]
"""Makes an answer: of a request's method, and a function that has the store answer."""


def refusal(status: str, code: str = "", detail: str = "") -> bytes:
    """The answer of a store that refuses."""
    body = f"<Error><Code>{code}</Code><Message>{detail}</Message></Error>" if code else ""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def cut(answer: bytes, most: int) -> bytes:
    """An answer with the first bytes of its body, as if there were no more."""
    top, _, body = answer.partition(b"\r\n\r\n")
    length = f"Content-Length: {len(body[:most])}".encode()
    return re.sub(rb"(?i)content-length: \d+", length, top) + b"\r\n\r\n" + body[:most]


class FailingProxy:
    """Hands connections on to a store, and fails some requests: by 503, or a cut connection.

    With `trouble`, that makes all answers; with `pause`, there are so many seconds between bytes.

    Args:
        endpoint: the store's address.
        every: each request of that number fails; 0: none does.
    """

    def __init__(self, endpoint: str, every: int = 0) -> None:
        self.every = every
        self.requests = 0
        self.failed = 0
        self.trouble: Trouble | None = None
        self.pause = 0.0
        self._closed = threading.Event()
        target = urlsplit(endpoint)
        self._target = target.port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}{target.path}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for one
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        """Handle the one request that a connection may bring."""
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := connection.recv(65536)):
                    return
                head += data
            top, _, body = head.partition(b"\r\n\r\n")
            length = _length(top)
            while len(body) < length:
                body += connection.recv(65536)
            self.requests += 1
            if self.trouble:
                method = top.partition(b" ")[0].decode()
                self._send(connection, self.trouble(method, lambda: self._answer(top, body)))
            elif self.every and self.requests % self.every == 0:
                self.failed += 1
                self._fail(connection, top, body)
            else:
                self._send(connection, self._answer(top, body))

    def _send(self, connection: socket.socket, answer: bytes) -> None:
        if not self.pause:
            connection.sendall(answer)
            return
        for n in range(len(answer)):
            connection.sendall(answer[n : n + 1])
            if self._closed.wait(self.pause):
                return

    def _fail(self, connection: socket.socket, top: bytes, body: bytes) -> None:
        """Fail in turn: 503; nothing is done and nothing said; it is done, but nobody hears."""
        if self.failed % 3 == 1:
            connection.sendall(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
        elif self.failed % 3 == 2:
            answer = self._answer(top, body)
            connection.sendall(answer[: len(answer) // 2])

    def _answer(self, top: bytes, body: bytes) -> bytes:
        """The store's whole answer to a request."""
        lines = [line for line in top.split(b"\r\n") if not line.lower().startswith(b"connection:")]
        lines.append(b"Connection: close")
        with socket.create_connection(("127.0.0.1", self._target)) as upstream:
            upstream.sendall(b"\r\n".join(lines) + b"\r\n\r\n" + body)
            answer = b""
            while data := upstream.recv(65536):
                answer += data
        return answer


def _length(top: bytes) -> int:
    for line in top.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
