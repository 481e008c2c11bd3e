"""Requests to an object store, sent again for a while where they fail."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from nodegraph.files.objects.address import ObjectAddress
from nodegraph.files.objects.body import MARK, Body
from nodegraph.files.objects.connect import open_store
from nodegraph.files.objects.errors import is_lasting, store_error

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta
    from obstore.store import AzureStore, S3Store

T = TypeVar("T")
_CHUNK = 2**18
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_PROBING = 5.0
"""Seconds that the check of a folder is tried for."""
_SMALL = 2**20
_SHORT, _LONG = 60.0, 600.0
"""The most seconds of a request, of one that moves more than a megabyte: a store that sends a byte
now and then is as good as none. A download goes on after it."""
_FRESH = 2.0
"""Seconds that a listing is used again."""


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """An object, as the store describes it."""

    key: str
    size: int
    etag: str
    modified: float
    """Seconds since 1970; stores know whole ones."""


class Bucket:
    """A bucket of S3, or a container of Azure; any thread may ask.

    Args:
        address: names it.
        endpoint: the address of the service; empty for its own.
        patience: the most seconds that a request is tried for.
    """

    def __init__(self, address: ObjectAddress, endpoint: str, patience: float) -> None:
        self.address = ObjectAddress(address.scheme, address.container)
        self._endpoint = endpoint
        self._patience = patience
        self._listings: dict[str, tuple[float, list[ObjectFacts]]] = {}
        self._lock = threading.Lock()

    @cached_property
    def _store(self) -> "S3Store | AzureStore":
        return open_store(self.address, self._endpoint, self._patience, _SHORT)

    @cached_property
    def _slow_store(self) -> "S3Store | AzureStore":
        return open_store(self.address, self._endpoint, self._patience, _LONG)

    def _store_for(self, size: int) -> "S3Store | AzureStore":
        """Return the store for a request that moves so many bytes."""
        return self._store if size <= _SMALL else self._slow_store

    def facts(self, key: str) -> ObjectFacts | None:
        """Return the facts of an object; None if there is none."""
        import obstore

        try:
            return _facts(self._try(lambda: obstore.head(self._store, key)))
        except FileNotFoundError:
            return None

    def put(self, key: str, body: Body) -> None:
        """Write an object, whole or not at all; replace one that is there."""
        import obstore

        data, stored = body.load(), body.attributes(key)
        store = self._store_for(body.size)
        self._send(lambda: obstore.put(store, key, data, attributes=stored), key)

    def put_new(self, key: str, body: Body) -> bool:
        """Write an object, whole or not at all; return False if something has that key.

        If an answer gets lost and the object is there when the request is sent again, a mark in
        its metadata shows that it is our own.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError

        data, stored = body.load(), body.attributes(key)
        store = self._store_for(body.size)
        if isinstance(data, Path):  # parts are put together without a condition
            if self.facts(key):
                return False
            self._send(lambda: self._put_parts(key, data, stored), key)
            return True

        def create() -> bool:
            try:
                obstore.put(store, key, data, attributes=stored, mode="create", use_multipart=False)
            except AlreadyExistsError as error:
                return self._has_mark(key, stored[MARK], error)
            return True

        return self._send(create, key)

    def check(self, folder: str, probe: str = "") -> None:
        """Check that a folder can be listed, and written if a key is given for an empty object.

        Raises:
            SettingsError: the library refuses its settings.
            ObjectStoreError: it can not be.
        """
        import obstore

        def ask() -> None:
            next(iter(self._walk(folder)), None)
            if probe:
                obstore.put(self._store, probe, b"")

        self._try_all(ask, _PROBING)

    def sha256(self, key: str) -> str:
        """Return the hash that was stored beside an object; empty if none was."""
        return self._try(lambda: self._attribute(key, "sha256"))

    def listing(self, folder: str) -> list[ObjectFacts]:
        """Return the objects directly in a folder, as they were at most two seconds ago."""
        with self._lock:
            found = self._listings.get(folder)
        if found and time.monotonic() - found[0] < _FRESH:
            return found[1]
        objects = self.list_now(folder)
        with self._lock:
            self._listings[folder] = time.monotonic(), objects
        return objects

    def list_now(self, folder: str) -> list[ObjectFacts]:
        """Return the objects directly in a folder."""
        import obstore

        def ask() -> list[ObjectFacts]:
            found = obstore.list_with_delimiter(  # pyright: ignore[reportUnknownMemberType]
                self._store, folder or None
            )
            return [_facts(each) for each in found["objects"]]

        return self._try_all(ask)

    def list_below(self, folder: str) -> list[ObjectFacts]:
        """Return the objects in a folder and in those below."""
        return self._try_all(lambda: [_facts(each) for each in self._walk(folder)])

    def keys_from(self, folder: str, offset: str, begins: str) -> list[str]:
        """Return the keys in a folder that begin so and come after `offset` in their order."""

        def ask() -> list[str]:
            found: list[str] = []
            for each in self._walk(folder, offset):
                if not each["path"].startswith(begins):
                    break
                found.append(each["path"])
            return found

        return self._try_all(ask)

    def read(self, facts: ObjectFacts) -> Iterator[bytes]:
        """Yield an object in chunks; go on where a connection broke off.

        Raises:
            FileNotFoundError: it is gone, or has changed.
        """
        import obstore

        at, waits = 0, _Waits(self._patience)
        while at < facts.size:
            try:
                options, store = _range(facts, at, facts.size), self._store_for(facts.size - at)
                got, before = obstore.get(store, facts.key, options=options), at
                for chunk in got.stream(min_chunk_size=_CHUNK):
                    at += len(chunk)
                    waits.restart()
                    yield bytes(chunk)
                _check_progress(before, at)
            except _library_errors() as error:
                self._refuse_lasting(error, waits)
                time.sleep(waits.next())

    async def read_part(self, facts: ObjectFacts, start: int, end: int) -> AsyncIterator[bytes]:
        """Yield the bytes from `start` to before `end` of an object, as `read` does."""
        import asyncio

        import obstore

        waits = _Waits(self._patience)
        while start < end:
            try:
                options, store = _range(facts, start, end), self._store_for(end - start)
                got, before = await obstore.get_async(store, facts.key, options=options), start
                async for chunk in got.stream(min_chunk_size=_CHUNK):
                    start += len(chunk)
                    waits.restart()
                    yield bytes(chunk)
                _check_progress(before, start)
            except _library_errors() as error:
                self._refuse_lasting(error, waits)
                await asyncio.sleep(waits.next())

    def signed_url(self, key: str, seconds: int) -> str:
        """Return an address that lets its holder read an object for some seconds.

        It is empty for names that Azure would refuse: the library signs them as they are quoted
        in an address, Azure as they are.
        """
        if self.address.scheme == "az" and quote(key) != key:
            return ""
        return self._sign(key, seconds, self._patience)

    def check_signing(self) -> None:
        """Check that addresses can be signed.

        Raises:
            ObjectStoreError: they can not be.
        """
        self._sign("x", 60, _PROBING)

    def _sign(self, key: str, seconds: int, patience: float) -> str:
        import obstore

        duration = timedelta(seconds=seconds)
        return self._try(lambda: obstore.sign(self._store, "GET", key, duration), patience)

    def _walk(self, folder: str, offset: str | None = None) -> "Iterator[ObjectMeta]":
        import obstore

        pages = obstore.list(  # pyright: ignore[reportUnknownMemberType]
            self._store, folder or None, offset=offset, chunk_size=1000
        )
        return (each for page in pages for each in page)

    def _attribute(self, key: str, name: str) -> str:
        import obstore

        found = obstore.get(self._store, key, options={"head": True}).attributes
        return str(found.get(name, ""))

    def _put_parts(self, key: str, path: Path, stored: dict[str, str]) -> None:
        """Send a file in parts. If the answer to the last request gets lost, they are gone then."""
        import obstore

        try:
            obstore.put(self._slow_store, key, path, attributes=stored)
        except FileNotFoundError as error:
            if not self._has_mark(key, stored[MARK], error):
                raise

    def _has_mark(self, key: str, mark: str, error: Exception) -> bool:
        """Say if an object is our own; raise the error if there is none."""
        try:
            return self._attribute(key, MARK) == mark
        except FileNotFoundError:
            raise error from None

    def _send(self, request: Callable[[], T], key: str) -> T:
        try:
            return self._try_all(request)
        finally:
            with self._lock:
                self._listings.pop(key.rpartition("/")[0], None)

    def _try_all(self, request: Callable[[], T], patience: float | None = None) -> T:
        """As `_try`; what is not found then is the bucket."""
        try:
            return self._try(request, patience)
        except FileNotFoundError as error:
            raise store_error(self.address, error) from error

    def _try(self, request: Callable[[], T], patience: float | None = None) -> T:
        """Send a request, again and again until it succeeds or the patience is over.

        Raises:
            FileNotFoundError: the object is not there.
            ObjectStoreError: it fails.
        """
        waits = _Waits(self._patience if patience is None else patience)
        while True:
            try:
                return request()
            except FileNotFoundError:
                raise
            except _library_errors() as error:
                self._refuse_lasting(error, waits)
                time.sleep(waits.next())

    def _refuse_lasting(self, error: Exception, waits: "_Waits") -> None:
        """Raise our error for one that more requests would not change."""
        from obstore.exceptions import PreconditionError

        if isinstance(error, FileNotFoundError | PreconditionError):
            raise FileNotFoundError from error
        if is_lasting(error) or waits.are_over:
            raise store_error(self.address, error) from error


class _Waits:
    """The pauses between requests, each twice the one before."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.restart()

    def restart(self) -> None:
        """Begin anew, because something has arrived."""
        self._end = time.monotonic() + self._patience
        self._pause = _FIRST_PAUSE

    @property
    def are_over(self) -> bool:
        """True if the next pause would take longer than the patience lasts."""
        return time.monotonic() + self._pause > self._end

    def next(self) -> float:
        """Return the seconds to wait now."""
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause


def _check_progress(before: int, after: int) -> None:
    """Raise an error of the moment if an answer had nothing in it."""
    from obstore.exceptions import GenericError

    if after == before:
        message = "it sends less of an object than there is"
        raise GenericError(message)


def _facts(found: "ObjectMeta") -> ObjectFacts:
    modified = found["last_modified"].timestamp()
    return ObjectFacts(found["path"], found["size"], found["e_tag"] or "", modified)


def _range(facts: ObjectFacts, start: int, end: int) -> "GetOptions":
    return {"range": (start, end), "if_match": facts.etag or None}


def _library_errors() -> tuple[type[Exception], ...]:
    from obstore.exceptions import BaseError

    return (BaseError, FileNotFoundError)
