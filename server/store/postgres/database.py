"""The Postgres database: the writers of all server processes take turns, readers do not wait."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psycopg
from psycopg import errors

from nodegraph.errors import NodeGraphError
from server.errors import StorageError, StorageFullError, UnreadableStoreError
from server.store.database import Change, Connection, Database, Notice, T, Work, settle_all
from server.store.postgres.connection import (
    PostgresConnection,
    address_of,
    connect,
    reason_of,
)
from server.store.postgres.notices import CHANGES, LIVE, notices
from server.store.postgres.opening import check_server, explaining, version_of
from server.store.schema import VERSION

READERS = 4
"""The threads that read, each with a connection."""
_WRITERS = 0x6E6F6465_77726974
"""The advisory lock that a transaction holds to its end, so that ids are in commit order."""
_STALLED = 5
"""Seconds after which Postgres ends a transaction whose server is paused or cut off."""
_ASKING = 0.2
"""Seconds between two attempts to learn whether a transaction was committed."""
_OWN_FAULTS = (
    *(errors.IntegrityError, errors.DataError, errors.ProgrammingError),
    *(errors.NotSupportedError, errors.ProgramLimitExceeded),
)
"""Errors that a single change causes; others are the connection's or the server's."""


class PostgresDatabase(Database):
    """A Postgres database, which several server processes share.

    Args:
        url: `postgresql://user@host/name`, as libpq reads it.
    """

    def __init__(self, url: str) -> None:
        super().__init__(readers=READERS)
        self._url = url
        self._shown = address_of(url)
        self._writing: PostgresConnection | None = None
        self._transaction = ""
        """The id of the transaction that is open."""
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="store-beside")
        self._own = threading.local()
        self._connections: list[PostgresConnection] = []
        """Those of the readers, and the one beside the writer."""

    def open(self) -> None:
        """Create or migrate the tables and start the writer.

        Raises:
            SettingsError: Postgres cannot be reached, or does not let us in.
            NewerStoreError: a later version wrote the database.
        """
        try:
            with explaining(self._shown):
                self._prepare(self._connection())
        except NodeGraphError:
            self._recover()
            raise
        self._writer.start()

    def _prepare(self, db: PostgresConnection) -> None:
        check_server(db.raw)
        if version_of(db.raw, self._shown) != VERSION:
            from server.store.postgres.migrate import migrate  # Alembic takes a second

            migrate(self._url)

    async def write_aside(self, work: Work[T]) -> T:
        """Make a small change beside the groups, on a connection of its own; see `write`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._beside, self._write_aside, work)

    async def broadcast(self, payload: str) -> None:
        """Tell other processes something that is not kept."""
        await self.write_aside(lambda db: db.execute("SELECT pg_notify(?, ?)", (LIVE, payload)))

    def notices(self) -> AsyncIterator[Notice]:
        """Yield what other processes announce and broadcast; an empty one first."""
        return notices(self._url)

    def _write_aside(self, work: Work[T]) -> T:
        try:
            return self._anew(work, "SET synchronous_commit = off")
        except psycopg.Error as error:
            raise StorageError(reason_of(error)) from error

    def _read(self, work: Work[T]) -> T:
        try:
            return self._anew(work, "SET default_transaction_read_only = on")
        except psycopg.Error as error:
            raise UnreadableStoreError(self._shown, reason_of(error)) from error

    def _anew(self, work: Work[T], setting: str) -> T:
        """Run `work` on this thread's connection; if that turns out to be cut, on a new one."""
        kept = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                return work(kept)
            except (psycopg.OperationalError, psycopg.InterfaceError):
                kept.raw.close()
                self._connections.remove(kept)
                self._own.connection = None
        fresh = PostgresConnection(connect(self._url))
        self._connections.append(fresh)
        self._own.connection = fresh
        fresh.execute(setting)
        return work(fresh)

    def _connection(self) -> PostgresConnection:
        if self._writing is None:
            self._writing = PostgresConnection(connect(self._url))
            stalled = f"SET idle_in_transaction_session_timeout = '{_STALLED}s'"
            self._writing.execute(stalled)
        return self._writing

    def _begin(self) -> Connection:
        """Begin a transaction, on a new connection if the old one was cut in the meantime."""
        with suppress(psycopg.OperationalError, psycopg.InterfaceError):
            return self._take_turn(self._connection())
        self._recover()
        return self._take_turn(self._connection())

    def _take_turn(self, db: PostgresConnection) -> PostgresConnection:
        db.news = None
        cursor = db.raw.execute(
            f"BEGIN; SELECT pg_advisory_xact_lock({_WRITERS});"
            " SELECT CAST(pg_current_xact_id() AS text) AS id".encode()
        )
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        self._transaction = row["id"] if row else ""
        return db

    def _finish(self, db: Connection) -> None:
        """Commit; if the answer is lost, find out whether the transaction is on the disk."""
        try:
            if isinstance(db, PostgresConnection) and db.news is not None:
                db.execute("SELECT pg_notify(?, ?)", (CHANGES, str(db.news)))
            db.execute("COMMIT")
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if not self._was_committed(reason_of(error)):
                raise
            self._recover()

    def _was_committed(self, reason: str) -> bool:
        """Ask until there is an answer; changes that come meanwhile are refused."""
        while self._refuse_waiting(reason):
            try:
                with connect(self._url) as connection:
                    row = connection.execute(
                        "SELECT pg_xact_status(CAST(%s AS xid8)) AS status", (self._transaction,)
                    ).fetchone()
            except psycopg.DataError:  # a stand-in that has never heard of it
                return False
            except psycopg.Error:
                row = {"status": "in progress"}
            if row is None or row["status"] != "in progress":
                return row is not None and row["status"] == "committed"
            time.sleep(_ASKING)
        return False

    def _refuse_waiting(self, reason: str) -> bool:
        """Refuse the changes that wait; return False if the database is to be closed."""
        refused: list[Change] = []
        closing = False
        while not closing and not self._changes.empty():
            change = self._changes.get()
            if change is None:
                self._changes.put(None)
                closing = True
            else:
                change.error = StorageError(reason)
                refused.append(change)
        settle_all(refused)
        return not closing

    def _recover(self) -> None:
        """Close the connection for writing; what it had not committed is undone."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.raw.close()

    def _close_readers(self) -> None:
        self._beside.shutdown()
        for connection in self._connections:
            connection.raw.close()

    def _failure(self, error: Exception) -> StorageError | None:
        if not isinstance(error, psycopg.Error):
            return None
        full = isinstance(error, errors.DiskFull)
        return (StorageFullError if full else StorageError)(reason_of(error))

    def _is_own_fault(self, error: Exception) -> bool:
        return isinstance(error, _OWN_FAULTS)
