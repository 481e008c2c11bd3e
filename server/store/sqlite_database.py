"""The SQLite database: one file, which one process writes and reads."""

import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from server.errors import StorageError, StorageFullError, UnreadableStoreError
from server.store.database import Connection, Database, T, Work
from server.store.schema import VERSION, configure, prepare

_PAGES = 2000
"""Pages that are returned to the file system at once."""


class SqliteConnection(sqlite3.Connection):
    """A connection of Python's own, with what `Connection` asks for besides."""

    LAST_RUN: ClassVar[str] = "SELECT seq FROM sqlite_sequence WHERE name = 'runs'"
    HAS_UI: ClassVar[str] = "json_type(data, '$.ui') = 'object'"
    SKIP_LOCKED: ClassVar[str] = ""  # there is one writer

    def insert(self, sql: str, values: Sequence[Any]) -> int:
        """Insert rows, and return the `id` of the last."""
        return self.execute(sql, values).lastrowid or 0

    def clock(self) -> int:
        """Return the time in milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def announce(self, event: int = 0) -> None:
        """Tell nobody: no other process uses the database."""

    def shrink(self) -> None:
        """Give pages that are free back to the file system."""
        (free,) = self.execute("PRAGMA freelist_count").fetchone()
        for _ in range(min(free, _PAGES)):
            self.execute("PRAGMA incremental_vacuum(1)")  # `execute` frees one page at a time

    def touch(self) -> None:
        """Make a change that has to reach the disk."""
        self.execute(f"PRAGMA user_version = {VERSION}")


class SqliteDatabase(Database):
    """A SQLite database: one thread writes, another reads.

    Args:
        path: the file; created if it does not exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(readers=1)
        self.path = path
        self._reading = _connect(path)
        self._writing: SqliteConnection | None = None

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

    def _read(self, work: Work[T]) -> T:
        try:
            return work(self._reading)
        except sqlite3.Error as error:
            raise UnreadableStoreError(self.path, str(error)) from error

    def _begin(self) -> Connection:
        if self._writing is None:
            self._writing = _connect(self.path)
            configure(self._writing)
        self._writing.execute("BEGIN IMMEDIATE")
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

    def _close_readers(self) -> None:
        self._reading.close()

    def _failure(self, error: Exception) -> StorageError | None:
        if not isinstance(error, sqlite3.Error):
            return None
        full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        return StorageFullError(str(error)) if full else StorageError(str(error))

    def _is_own_fault(self, error: Exception) -> bool:
        return isinstance(
            error,
            sqlite3.IntegrityError
            | sqlite3.DataError
            | sqlite3.ProgrammingError
            | sqlite3.InterfaceError,
        )


def _connect(path: Path) -> SqliteConnection:
    connection = sqlite3.connect(
        path,
        isolation_level=None,
        check_same_thread=False,
        timeout=10.0,
        factory=SqliteConnection,
    )
    connection.row_factory = sqlite3.Row
    return connection
