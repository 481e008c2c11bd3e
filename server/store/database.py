"""The SQLite database: one thread writes and commits in groups, another reads."""

import asyncio
import queue
import sqlite3
import threading
import time
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from server.errors import StorageError, StorageFullError, UnreadableStoreError
from server.store.schema import configure, prepare

T = TypeVar("T")
Work = Callable[[Connection], T]

LARGEST_GROUP = 256
"""The most changes in one commit."""
GATHERING = 0.003
"""Seconds that a commit waits for further changes, if those before it came together."""
ENOUGH = 8
"""Changes that are committed without waiting for more."""
_OWN_FAULTS = (
    *(sqlite3.IntegrityError, sqlite3.DataError),
    *(sqlite3.ProgrammingError, sqlite3.InterfaceError),
)
"""Errors of SQLite that a single change causes; others are errors of the disk."""


@dataclass(slots=True)
class _Change:
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


class Database:
    """A SQLite database; a change is on the disk when its `write` returns.

    Changes that wait at the same time share a commit, which takes a few milliseconds for any
    number of changes. While many come, a commit waits a moment for more of them.

    Args:
        path: the file; created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changes: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._reading = _connect(path)
        self._writing: Connection | None = None

    def open(self) -> None:
        """Check the database and start the writer.

        Raises:
            DamagedStoreError: the database is damaged.
            NewerStoreError: a later version wrote it.
        """
        self._writing = _connect(self.path)
        prepare(self._writing, self.path)
        self._reading.execute("PRAGMA query_only = ON")
        self._writer.start()

    async def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction; return its result once the transaction is on the disk.

        Raises:
            StorageError: it could not be written; nothing has changed.
            Exception: what `work` raises; nothing has changed.
        """
        loop = asyncio.get_running_loop()
        change = _Change(work, loop, loop.create_future())
        self._changes.put(change)
        return await change.done

    async def read(self, work: Work[T]) -> T:
        """Run `work`, which only reads, and return its result.

        Raises:
            UnreadableStoreError: the database cannot be read.
            Exception: what `work` raises.
        """
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def close(self) -> None:
        """Write the changes that wait, then close the database."""
        self._changes.put(None)
        self._writer.join()
        self._reader.shutdown()
        self._reading.close()

    def _read(self, work: Work[T]) -> T:
        try:
            return work(self._reading)
        except sqlite3.Error as error:
            raise UnreadableStoreError(self.path, str(error)) from error

    def _write_all(self) -> None:
        group: list[_Change] = []
        while group := self._next_group(crowded=len(group) > 1):
            self._commit([change for change in group if not change.done.cancelled()])
            _settle_all(group)
        if self._writing is not None:
            self._writing.close()

    def _next_group(self, *, crowded: bool) -> list[_Change]:
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

    def _commit(self, group: list[_Change]) -> None:
        """Make the changes and commit them, or give each its error."""
        try:
            self._transact(group)
        except sqlite3.Error as error:
            self._recover()
            failure = _storage_error(error)
            for change in group:
                change.error = change.error or failure

    def _transact(self, group: list[_Change]) -> None:
        """Make the changes and commit; if one fails, make them again and leave it out."""
        db = self._connection()
        db.execute("BEGIN IMMEDIATE")
        try:
            for change in group:
                change.result = change.work(db)
        except Exception as error:
            if _is_of_disk(error):
                raise
            db.execute("ROLLBACK")
            db.execute("BEGIN IMMEDIATE")
            for change in group:
                _attempt(db, change)
        db.execute("COMMIT")

    def _connection(self) -> Connection:
        if self._writing is None:
            self._writing = _connect(self.path)
            configure(self._writing)
        return self._writing

    def _recover(self) -> None:
        """Close the writing connection: after a failed sync its state is in doubt.

        The reader's connection stays open. If none were open, the next one to open the file would
        take the failed commit for a good one.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            with suppress(sqlite3.Error):
                writing.close()


def _attempt(db: Connection, change: _Change) -> None:
    """Make one change; if it fails, undo only this one."""
    db.execute("SAVEPOINT change")
    try:
        change.result = change.work(db)
    except Exception as error:
        if _is_of_disk(error):
            raise
        db.execute("ROLLBACK TO change")
        change.error = StorageError(str(error)) if isinstance(error, sqlite3.Error) else error
    finally:
        if db.in_transaction:
            db.execute("RELEASE change")


def _is_of_disk(error: Exception) -> bool:
    """Return True for an error of the disk, which concerns every change of the group."""
    return isinstance(error, sqlite3.Error) and not isinstance(error, _OWN_FAULTS)


def _settle_all(group: list[_Change]) -> None:
    """Hand over the results, with one message to each loop that waits for some."""
    for loop in dict.fromkeys(change.loop for change in group):
        own = [change for change in group if change.loop is loop]
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, own)


def _settle(group: list[_Change]) -> None:
    for change in group:
        change.settle()


def _connect(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.row_factory = sqlite3.Row
    return connection


def _storage_error(error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", None)
    kind = StorageFullError if code == sqlite3.SQLITE_FULL else StorageError
    return kind(str(error))
