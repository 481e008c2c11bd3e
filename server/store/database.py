"""One thread that writes and commits in groups, one that reads."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from sqlite3 import Connection
from typing import Any, TypeVar

from server.errors import StorageError, StorageFullError
from server.store.schema import prepare

T = TypeVar("T")
Work = Callable[[Connection], T]

LARGEST_GROUP = 256
"""Changes that one commit may hold."""


@dataclass(frozen=True, slots=True)
class _Change:
    work: Work[Any]
    done: Future[Any] = field(default_factory=Future[Any])


class Database:
    """A SQLite database whose every change is on the disk before anybody hears of it.

    Changes that wait at the same time share a commit, which costs a few milliseconds of waiting
    for the disk however many there are.

    Args:
        path: the file; made if it is not there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._changes: queue.SimpleQueue[_Change | None] = queue.SimpleQueue()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
        self._reading: Connection | None = None
        self._writing = _connected(path)

    def open(self) -> None:
        """Check the database, and begin to write.

        Raises:
            DamagedStoreError: it is damaged.
            NewerStoreError: a later version wrote it.
        """
        prepare(self._writing, self.path)
        self._writer.start()

    async def write(self, work: Work[T]) -> T:
        """Do `work` in a transaction; returns once it is on the disk.

        Raises:
            StorageError: it could not be written, and nothing of it happened.
            Exception: what `work` raises; nothing of it happened either.
        """
        change = _Change(work)
        self._changes.put(change)
        return await asyncio.wrap_future(change.done)

    async def read(self, work: Work[T]) -> T:
        """Ask something of what is on the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def close(self) -> None:
        """Finish what waits to be written."""
        self._changes.put(None)
        self._writer.join()
        self._reader.shutdown()
        self._writing.close()

    def _read(self, work: Work[T]) -> T:
        if self._reading is None:
            self._reading = _connected(self.path)
            self._reading.execute("PRAGMA query_only = ON")
        return work(self._reading)

    def _write_all(self) -> None:
        while True:
            group = self._next_group()
            if group:
                self._commit(group)
            else:
                return

    def _next_group(self) -> list[_Change]:
        """What waits, in order; nothing when the database is being closed."""
        first = self._changes.get()
        group = [first] if first else []
        while group and len(group) < LARGEST_GROUP and not self._changes.empty():
            change = self._changes.get()
            if change is None:
                self._changes.put(None)  # it ends the next group
                break
            group.append(change)
        return group

    def _commit(self, group: list[_Change]) -> None:
        results: list[tuple[_Change, Any]] = []
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            for change in (one for one in group if one.done.set_running_or_notify_cancel()):
                result = self._attempt(change)
                if not change.done.done():
                    results.append((change, result))
            self._writing.execute("COMMIT")
        except sqlite3.Error as error:
            self._recover()
            failure = _explained(error)
            for change in group:
                if not change.done.done():
                    change.done.set_exception(failure)
            return
        for change, result in results:
            change.done.set_result(result)

    def _attempt(self, change: _Change) -> Any:
        """Do one change; if it refuses, undo it alone."""
        self._writing.execute("SAVEPOINT change")
        try:
            return change.work(self._writing)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - whoever waits for the change gets it
            self._writing.execute("ROLLBACK TO change")
            change.done.set_exception(error)
            return None
        finally:
            if self._writing.in_transaction:
                self._writing.execute("RELEASE change")

    def _recover(self) -> None:
        """Begin anew from what the disk really has: a failed sync leaves the rest in doubt."""
        self._writing.close()
        self._writing = _connected(self.path)
        self._writing.execute("PRAGMA synchronous = FULL")
        self._writing.execute("PRAGMA foreign_keys = ON")


def _connected(path: Path) -> Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0)
    connection.row_factory = sqlite3.Row
    return connection


def _explained(error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", None)
    kind = StorageFullError if code == sqlite3.SQLITE_FULL else StorageError
    return kind(str(error))
