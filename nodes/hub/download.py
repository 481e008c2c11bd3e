"""Download a file of the hub into the cache that its client uses; broken off, it goes on."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import httpx2
from filelock import FileLock, Timeout
from huggingface_hub.file_download import (
    http_get,  # pyright: ignore[reportUnknownVariableType]
)

from nodegraph.errors import WrongHashError
from nodegraph.references import HubReference, is_sha256
from nodegraph.sources import Watch
from nodes.hub.cache import blob_of, guard_of, place_of
from nodes.hub.client import Client, Remote
from nodes.hub.digest import MEGABYTE, digest

_GLANCE = 0.2


def download(
    client: Client, cache: Path, reference: HubReference, sha256: str, watch: Watch
) -> str:
    """Bring a file here; its content is what the hub says it is, or nothing is kept.

    Args:
        client: the hub.
        cache: the client's cache folder.
        reference: the file, at a commit.
        sha256: what the content must be; empty if only the hub knows.
        watch: told how far it is; may stop it, and what is here then is kept.

    Returns:
        The file's sha256, if the hub knows it.

    Raises:
        WrongHashError: it is another file.
        HubError: the hub does not give it.
    """
    remote = client.remote(reference)
    if sha256 and is_sha256(remote.etag) and remote.etag != sha256:
        raise WrongHashError(str(reference), sha256, remote.etag, "the lock file")
    blob = blob_of(cache, reference, remote.etag)
    place = place_of(cache, reference)
    for folder in (blob.parent, place.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(guard_of(cache, reference, remote.etag), watch):
        if not blob.is_file():
            _transfer(client, reference, remote, blob, watch)
        _link(place, blob)
    return remote.etag if is_sha256(remote.etag) else ""


def _transfer(
    client: Client, reference: HubReference, remote: Remote, blob: Path, watch: Watch
) -> None:
    partial = blob.with_name(f"{blob.name}.incomplete")
    if remote.size is not None and partial.is_file() and partial.stat().st_size > remote.size:
        partial.unlink()
    with partial.open("ab") as file:
        try:
            http_get(
                remote.url,
                file,
                resume_size=file.tell(),
                headers=dict(remote.headers),
                expected_size=remote.size,
                tqdm_class=cast("Any", _reporting(watch)),
            )
        except (httpx2.HTTPError, OSError) as error:
            client.refuse(reference, error)
    watch.check_cancelled()
    found = digest(partial, remote.etag)
    if found != remote.etag:
        partial.unlink()
        raise WrongHashError(str(reference), remote.etag, found, "the hub")
    partial.replace(blob)


def _reporting(watch: Watch) -> Callable[..., "_Bar"]:
    """What the client makes its progress bars of."""

    def make(*, total: int | None = None, initial: int = 0, **_: object) -> _Bar:
        return _Bar(watch, total or 0, initial)

    return make


class _Bar:
    """A progress bar that only tells how far it is."""

    def __init__(self, watch: Watch, total: int, initial: int) -> None:
        self._watch = watch
        self._total = total
        self._done = initial

    def update(self, count: int) -> None:
        """So many bytes more.

        Raises:
            RunCancelledError: nobody wants them.
        """
        self._watch.check_cancelled()
        self._done += count
        total = max(self._total, self._done)
        self._watch.progress(_megabytes(self._done), _megabytes(total))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """There is nothing to close."""


def _megabytes(count: int) -> int:
    return -(-count // MEGABYTE)


def _link(place: Path, blob: Path) -> None:
    """Give the content its name in the commit's folder; a copy where links do not work."""
    if place.exists():
        return
    place.unlink(missing_ok=True)
    depth = len(place.parent.relative_to(blob.parents[1]).parts)
    try:
        place.symlink_to(Path(*[".."] * depth, "blobs", blob.name))
    except OSError:
        place.hardlink_to(blob)


@contextmanager
def _alone(path: Path, watch: Watch) -> Generator[None]:
    """Hold the file's lock, which the hub's client takes too; the wait can be cancelled."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_GLANCE)
        except Timeout:
            watch.check_cancelled()
    try:
        yield
    finally:
        lock.release()
