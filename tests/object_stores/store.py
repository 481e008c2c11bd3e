"""An object store that runs for tests, of any kind."""

import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from obstore.store import AzureStore, S3Store

BUCKET = "nodegraph-tests"
"""The bucket or container that is there."""
_PATIENCE = 90.0


class ObjectStore(ABC):
    """A running object store with one bucket or container.

    Args:
        endpoint: its address.
    """

    scheme: ClassVar[str]
    """Its addresses begin so."""
    secret: ClassVar[str]
    """It has no place in any log."""
    expires: ClassVar[str]
    """A part of an address that is signed for 60 seconds, as a pattern."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """The variables that programs find it by."""

    @property
    @abstractmethod
    def mistakes(self) -> dict[str, tuple[dict[str, str], str]]:
        """Wrong settings: the variables that are wrong, and a pattern of what has to be said."""

    @abstractmethod
    def client(self) -> "S3Store | AzureStore":
        """The library's own client of the bucket."""

    @abstractmethod
    def make(self, bucket: str) -> None:
        """Make a bucket.

        Raises:
            OSError, obstore.exceptions.BaseError: the store does not take requests yet.
        """

    @abstractmethod
    def remove(self, bucket: str) -> None:
        """Delete a bucket with all that is in it."""

    def place(self, prefix: str, bucket: str = BUCKET) -> str:
        """The address of a folder."""
        return f"{self.scheme}://{bucket}/{prefix}"

    def keys(self, prefix: str) -> list[str]:
        """The keys of all objects below a prefix."""
        import obstore

        return sorted(each["path"] for page in obstore.list(self.client(), prefix) for each in page)

    def content(self, key: str) -> bytes:
        """The content of an object."""
        import obstore

        return bytes(obstore.get(self.client(), key).bytes())


@contextmanager
def store_of(
    command: list[str],
    folder: Path,
    variables: Mapping[str, str],
    connect: Callable[[], ObjectStore],
) -> Generator[ObjectStore]:
    """Run a store's program until the end of the block, from the moment that it has a bucket."""
    log = folder / "log.txt"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=file, stderr=file)
    try:
        yield _with_bucket(process, connect(), log)
    finally:
        process.kill()
        process.wait()


def _with_bucket(process: "subprocess.Popen[bytes]", store: ObjectStore, log: Path) -> ObjectStore:
    """Make the bucket as soon as the store takes requests."""
    import obstore
    from obstore.exceptions import BaseError

    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        with suppress(BaseError, OSError):
            store.make(BUCKET)
            obstore.put(store.client(), "made", b"")
            return store
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
