"""A database that keeps the store: one thread writes and commits in groups, others read."""

import asyncio
import queue
import threading
import time
from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop, Future
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

from server.errors import StorageError

T = TypeVar("T")

LARGEST_GROUP = 256
"""The most changes in one commit."""
GATHERING = 0.003
"""Seconds that a commit waits for further changes, if those before it came together."""
ENOUGH = 8
"""Changes that are committed without waiting for more."""


class Row(Protocol):
    """A row of a table."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the value in a column."""
        ...


class Cursor(Protocol):
    """The rows that a statement gives, and the number of those that it changed."""

    @property
    def rowcount(self) -> int:
        """The number of rows that were changed."""
        ...

    def fetchone(self) -> Any:
        """Return the next row; None if there is none."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows."""
        ...


class Connection(Protocol):
    """A connection to a database; its SQL is what SQLite and Postgres have in common.

    Values stand as `?` in statements, columns are read by name.
    """

    LAST_RUN: ClassVar[str]
    """Selects the highest `seq` that a run was ever given."""
    HAS_UI: ClassVar[str]
    """True for an event whose data has an object `ui`."""
    SKIP_LOCKED: ClassVar[str]
    """Has a SELECT leave out the rows that another process is about to change."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> Cursor:
        """Run a statement."""
        ...

    def insert(self, sql: str, values: Sequence[Any], /) -> int:
        """Insert rows into a table with a column `id` that counts; return the id of the last."""
        ...

    def clock(self) -> int:
        """Return the database's time in milliseconds since 1970: one for all its servers."""
        ...

    def announce(self, event: int = 0, /) -> None:
        """Have other processes told that something has changed, once it is committed.

        Args:
            event: the id of the newest event that was added.
        """
        ...

    def shrink(self) -> None:
        """Give room that is free back to the system."""
        ...

    def touch(self) -> None:
        """Make a change that has to reach the disk."""
        ...


Work = Callable[[Connection], T]


@dataclass(frozen=True, slots=True)
class Notice:
    """Another process changed or said something; empty if that can not be ruled out."""

    event: int = 0
    """The id of the newest event, if some were added."""
    payload: str = ""
    """The text that it sent, which is not kept."""


@dataclass(slots=True)
class Change:
    """A change that waits for its commit."""

    work: Work[Any]
    loop: AbstractEventLoop
    """The loop that waits for it."""
    done: Future[Any]
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Hand over its result or its error, in the thread of its loop."""
        if self.done.cancelled():
            return
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


class Database(ABC):
    """A database; a change is on the disk when its `write` returns.

    Changes that wait at the same time share a commit, which takes a few milliseconds for any
    number of changes. While many come, a commit waits a moment for more of them.

    Args:
        readers: the number of threads that read.
    """

    def __init__(self, readers: int) -> None:
        self._changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(readers, thread_name_prefix="store-reader")
        self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)

    @abstractmethod
    def open(self) -> None:
        """Check the database and start the writer."""

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; return its result once the transaction is on the disk.

        Raises:
            StorageError: it could not be written; nothing has changed.
            Exception: what `work` raises; nothing has changed.
        """
        loop = asyncio.get_running_loop()
        change = Change(work, loop, loop.create_future())
        self._changes.put(change)
        return await change.done

    async def write_aside(self, work: Work[T]) -> T:
        """Make a small change that waits for no others, where the database has such; see `write`.

        After a power cut it may be lost.
        """
        return await self.write(work)

    async def broadcast(self, payload: str) -> None:
        """Tell other processes something that is not kept: at most 7,999 bytes."""
        del payload  # there are none

    async def notices(self) -> AsyncIterator[Notice]:
        """Yield what other processes changed or said: nothing ever where there are no others."""
        await asyncio.Event().wait()
        yield Notice()

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, and return its result.

        Raises:
            UnreadableStoreError: the database cannot be read.
            Exception: what `work` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    def close(self) -> None:
        """Write the changes that wait, then close the database."""
        self._changes.put(None)
        if self._writer.ident is not None:  # it was opened
            self._writer.join()
        self._readers.shutdown()
        self._close_readers()

    @abstractmethod
    def _read(self, work: Work[T]) -> T:
        """Run `work` on a connection for reading."""

    @abstractmethod
    def _begin(self) -> Connection:
        """Begin a transaction on the connection for writing."""

    @abstractmethod
    def _recover(self) -> None:
        """Close the connection for writing after a failure; the next group gets another."""

    @abstractmethod
    def _close_readers(self) -> None:
        """Close the connections for reading."""

    @abstractmethod
    def _failure(self, error: Exception) -> StorageError | None:
        """Return the error that clients are told; None if it is not the database's."""

    @abstractmethod
    def _is_own_fault(self, error: Exception) -> bool:
        """Return True for an error that a single change causes, not the disk or the connection."""

    def _finish(self, db: Connection) -> None:
        """Commit the transaction."""
        db.execute("COMMIT")

    def _write_all(self) -> None:
        group: list[Change] = []
        while group := self._next_group(crowded=len(group) > 1):
            self._commit([change for change in group if not change.done.cancelled()])
            settle_all(group)
        self._recover()

    def _next_group(self, *, crowded: bool) -> list[Change]:
        """Wait for changes and return them in order; an empty list ends the writer.

        Args:
            crowded: True if more are likely to come, so that it is worth waiting for them.
        """
        first = self._changes.get()
        group = [first] if first else []
        if crowded and first and self._changes.qsize() + 1 < ENOUGH:
            time.sleep(GATHERING)
        while group and len(group) < LARGEST_GROUP and not self._changes.empty():
            change = self._changes.get()
            if change is None:
                self._changes.put(None)  # ends the writer after this group
                break
            group.append(change)
        return group

    def _commit(self, group: list[Change]) -> None:
        """Make the changes and commit them, or give each its error."""
        try:
            self._transact(group)
        except Exception as error:
            failure = self._failure(error)
            if failure is None:
                raise
            self._recover()
            for change in group:
                change.error = change.error or failure

    def _transact(self, group: list[Change]) -> None:
        """Make the changes and commit; if one fails, make them again and leave it out."""
        db = self._begin()
        try:
            for change in group:
                change.result = change.work(db)
        except Exception as error:
            if self._is_of_all(error):
                raise
            db.execute("ROLLBACK")
            db = self._begin()
            for change in group:
                self._attempt(db, change)
        self._finish(db)

    def _attempt(self, db: Connection, change: Change) -> None:
        """Make one change; if it fails, undo only this one."""
        db.execute("SAVEPOINT change")
        try:
            change.result = change.work(db)
        except Exception as error:
            if self._is_of_all(error):
                raise
            db.execute("ROLLBACK TO change")
            change.error = self._failure(error) or error
        db.execute("RELEASE change")

    def _is_of_all(self, error: Exception) -> bool:
        """Return True for an error that concerns every change of the group."""
        return self._failure(error) is not None and not self._is_own_fault(error)


def settle_all(group: list[Change]) -> None:
    """Hand over the results, with one message to each loop that waits for some."""
    for loop in dict.fromkeys(change.loop for change in group):
        own = [change for change in group if change.loop is loop]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, own)


def _settle(group: list[Change]) -> None:
    for change in group:
        change.settle()
