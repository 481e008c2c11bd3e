"""Download files of the hub into its client's cache; each is checked against the hub's hash.

The hash is a sha256, or for small files git's sha1.
"""

import hashlib
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
from nodegraph.files.references import HubReference, is_sha256
from nodegraph.files.sources import Watch
from nodes.models.hub.cache import blob_path, lock_path, snapshot_path
from nodes.models.hub.client import Client, Remote

MEGABYTE = 1_000_000
_GLANCE = 0.2
"""Seconds between two looks at whether the run was cancelled, while another process downloads."""


def digest(path: Path, like: str) -> str:
    """Return the file's sha256, or git's sha1 if `like` is one."""
    with path.open("rb") as file:
        if is_sha256(like):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := file.read(MEGABYTE):
            digest.update(chunk)
    return digest.hexdigest()


def download(
    client: Client, cache: Path, reference: HubReference, sha256: str, watch: Watch
) -> str:
    """Download a file; it is kept only if its hash is the one that the hub gives.

    Args:
        client: the hub.
        cache: the client's cache folder.
        reference: the file, at a commit.
        sha256: the expected hash; empty if only the hub knows it.
        watch: gets the progress; may cancel, and the part downloaded so far is kept.

    Returns:
        The file's sha256, if the hub knows it.

    Raises:
        WrongHashError: the file has another hash.
        HubError: the hub does not provide it.
    """
    remote = client.remote(reference)
    if sha256 and is_sha256(remote.etag) and remote.etag != sha256:
        raise WrongHashError(str(reference), sha256, remote.etag, "the lock file")
    blob = blob_path(cache, reference, remote.etag)
    place = snapshot_path(cache, reference)
    for folder in (blob.parent, place.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with _file_lock(lock_path(cache, reference, remote.etag), watch):
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
                tqdm_class=cast("Any", _progress_bars(watch)),
            )
        except (httpx2.HTTPError, OSError) as error:
            client.refuse(reference, error)
    watch.check_cancelled()
    found = digest(partial, remote.etag)
    if found != remote.etag:
        partial.unlink()
        raise WrongHashError(str(reference), remote.etag, found, "the hub")
    partial.replace(blob)


def _progress_bars(watch: Watch) -> Callable[..., "_Bar"]:
    """Return a class of progress bars that report to `watch`."""

    def make(*, total: int | None = None, initial: int = 0, **_: object) -> _Bar:
        return _Bar(watch, total or 0, initial)

    return make


class _Bar:
    """A progress bar that only reports to a `Watch`."""

    def __init__(self, watch: Watch, total: int, initial: int) -> None:
        self._watch = watch
        self._total = total
        self._done = initial

    def update(self, count: int) -> None:
        """Add a number of bytes.

        Raises:
            RunCancelledError: the run was cancelled.
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
        """Do nothing: there is nothing to close."""


def _megabytes(count: int) -> int:
    return -(-count // MEGABYTE)


def _link(place: Path, blob: Path) -> None:
    """Link the blob into the commit's folder, or copy it where links do not work."""
    if place.exists():
        return
    place.unlink(missing_ok=True)
    depth = len(place.parent.relative_to(blob.parents[1]).parts)
    try:
        place.symlink_to(Path(*[".."] * depth, "blobs", blob.name))
    except OSError:
        place.hardlink_to(blob)


@contextmanager
def _file_lock(path: Path, watch: Watch) -> Generator[None]:
    """Hold the file's lock, as the hub's client does; waiting for it can be cancelled."""
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
