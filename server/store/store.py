"""The store of runs and events; every change is on the disk when its method returns."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from nodegraph.errors import SettingsError
from nodegraph.files.file_names import FileSeries, NumberedFile
from server.errors import DamagedRunError, UnknownRunError
from server.store import changes, rows
from server.store.changes import NamedData
from server.store.database import Connection, Database, Notice
from server.store.deliveries import Deliveries
from server.store.runs import (
    ALL_RUNS,
    Accepted,
    Attempt,
    Ending,
    File,
    Milestone,
    NewRun,
    Run,
    RunFilter,
    Work,
)
from server.store.servers import Servers
from server.store.sqlite_database import SqliteDatabase


class Store:
    """The durable queue: runs, their events, their files and their webhooks.

    Args:
        place: the file of a SQLite database, or the URL of one in Postgres.

    Raises:
        SettingsError: the URL is wrong, or the extra `postgres` is not installed.
    """

    def __init__(self, place: Path | str) -> None:
        self._database = _database(place)
        self.deliveries = Deliveries(self._database)
        self.servers = Servers(self._database, self.deliveries.changed)

    def open(self) -> None:
        """Open and check the database.

        Raises:
            DamagedStoreError: the database is damaged.
            NewerStoreError: a later version wrote it.
            SettingsError: Postgres cannot be reached, or does not let us in.
        """
        self._database.open()

    def close(self) -> None:
        """Write the changes that wait, then close the database."""
        self._database.close()

    async def accept(self, new: NewRun) -> Accepted:
        """Put a run into the queue.

        Raises:
            KeyReusedError: its key was sent before with a different request.
            RunExistsError: its id is taken.
            StorageError: it could not be written.
        """
        return await self._database.write(lambda db: changes.accept(db, new))

    async def begin(self, run_id: str, worker: str, server: str = "") -> Run:
        """Claim a queued run for a worker, and return the run.

        Args:
            run_id: the run.
            worker: the worker that starts it.
            server: the server process that the worker belongs to.

        Raises:
            RunStateError: it is not queued any more: another server has it, or it is over.
            UnknownRunError: there is no such run.
        """
        return await self._database.write(lambda db: changes.begin(db, run_id, worker, server))

    async def cancel(self, run_id: str) -> tuple[Run, Milestone | None] | None:
        """Cancel a run wherever it is; return None if it is over or does not exist.

        A run that waits ends, with the event that is returned. For one that is computed there is
        none yet: the request is recorded, and `Servers.find_cancelled` tells its server.
        """
        cancelled = await self._database.write(lambda db: changes.cancel(db, run_id))
        if cancelled and cancelled[0].is_over and cancelled[0].webhook:
            self.deliveries.changed.set()
        return cancelled

    async def requeue(
        self,
        run_id: str,
        reason: str,
        *,
        suspect: bool = False,
        charged: bool = False,
        attempt: Attempt | None = None,
    ) -> tuple[Run, Milestone]:
        """Put an active run back into the queue.

        Args:
            run_id: the run.
            reason: the reason, for the event.
            suspect: True if the run may have killed its worker.
            charged: True if it certainly did, because it ran there alone.
            attempt: the attempt that is given up; any if None.

        Raises:
            LostAttemptError: the run is not at this attempt any more.
        """

        def work(db: Connection) -> tuple[Run, Milestone]:
            changes.check(db, run_id, attempt)
            return changes.requeue(db, run_id, reason, suspect=suspect, charged=charged)

        return await self._database.write(work)

    async def end(
        self, run_id: str, ending: Ending, attempt: Attempt | None = None
    ) -> tuple[Run, Milestone] | None:
        """Record the end of a run and its last event; return None if it had ended before.

        Raises:
            LostAttemptError: the run is not at this attempt any more.
        """
        _, ended = await self.report(run_id, (), ending, attempt)
        return ended

    async def retry(self, run_id: str) -> tuple[Run, Milestone]:
        """Put an unsuccessful run into the queue once more.

        Raises:
            UnknownRunError: there is no such run.
            RunStateError: it has not failed and was not cancelled.
        """
        return await self._database.write(lambda db: changes.retry(db, run_id))

    async def report(
        self,
        run_id: str,
        events: Sequence[NamedData],
        ending: Ending | None = None,
        attempt: Attempt | None = None,
    ) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
        """Append events to a run, in this order, and end it if `ending` is given; see `end`.

        Args:
            run_id: the run.
            events: the names and the data of the events.
            ending: its end.
            attempt: the attempt that reports them; any if None.

        Raises:
            LostAttemptError: the run is not at this attempt any more; nothing was changed.
        """

        def work(db: Connection) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
            changes.check(db, run_id, attempt)
            if ending is None:
                return changes.add_events(db, run_id, events), None
            return changes.report(db, run_id, events, ending)

        written = await self._database.write(work)
        self._notify_deliveries(written[1])
        return written

    async def name_file(self, file: File, place: FileSeries, first: int) -> NumberedFile:
        """Return the name of a run's file; a repeated run gets the same name again.

        Args:
            file: the file.
            place: its folder, stem and suffix.
            first: the lowest number to use.
        """
        return await self._database.write(lambda db: changes.name_file(db, file, place, first))

    async def unname_file(self, file: File) -> None:
        """Take the name of a file back, because another file has it."""
        await self._database.write(lambda db: changes.unname_file(db, file))

    async def forget(
        self, run_ids: Iterable[str] | None = None, *, owner: str | None = None
    ) -> list[str]:
        """Delete finished runs, all of them if None; return the ids of the deleted.

        Args:
            run_ids: the runs.
            owner: only runs of this owner.
        """
        wanted = None if run_ids is None else list(run_ids)
        return await self._database.write(lambda db: changes.forget(db, wanted, owner))

    async def prune(self, count: int, since_ms: int = 0, most: int = 500) -> int:
        """Delete old finished runs and their events; return the number of the deleted.

        Args:
            count: the number of newest runs to keep.
            since_ms: runs that ended earlier are deleted in any case.
            most: the most runs to delete at once, the oldest first.
        """
        return await self._database.write(lambda db: changes.prune(db, count, since_ms, most))

    async def run(self, run_id: str) -> Run:
        """Return a run.

        Raises:
            UnknownRunError: there is no such run.
        """
        return await self._database.read(lambda db: rows.get(db, run_id))

    async def find(self, run_id: str) -> Run | None:
        """Return a run; None if there is none of that id."""
        return await self._database.read(lambda db: rows.find(db, run_id))

    async def find_many(self, run_ids: Sequence[str]) -> list[Run]:
        """Return the runs with these ids that exist, in the same order."""
        return await self._database.read(
            lambda db: [run for run_id in run_ids if (run := rows.find(db, run_id)) is not None]
        )

    async def work(self, run_id: str) -> Work:
        """Return the work of a run: its graph and targets.

        Raises:
            UnknownRunError: there is no such run.
        """
        return await self._database.read(lambda db: rows.work_of(db, run_id))

    async def run_with_work(self, run_id: str) -> tuple[Run, Work | DamagedRunError]:
        """Return a run and its work; or instead of that, the error that it is damaged.

        Raises:
            UnknownRunError: there is no such run.
        """

        def question(db: Connection) -> tuple[Run, Work | DamagedRunError]:
            run = rows.get(db, run_id)
            try:
                return run, rows.work_of(db, run_id)
            except DamagedRunError as error:
                return run, error

        return await self._database.read(question)

    async def works(self, run_ids: Sequence[str]) -> dict[str, Work]:
        """Return the work of these runs by id, without missing and damaged ones."""

        def question(db: Connection) -> dict[str, Work]:
            found: dict[str, Work] = {}
            for run_id in run_ids:
                with suppress(UnknownRunError, DamagedRunError):
                    found[run_id] = rows.work_of(db, run_id)
            return found

        return await self._database.read(question)

    async def runs(
        self,
        which: RunFilter = ALL_RUNS,
        *,
        limit: int | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[Run]:
        """Return runs, newest first unless `oldest_first`.

        Args:
            which: the filter.
            limit: the most runs to return; all if None or negative.
            offset: the number of runs to skip first.
            oldest_first: the reverse order.
        """
        where, values = rows.where(which)
        order = "ASC" if oldest_first else "DESC"
        sql = f"SELECT * FROM runs {where} ORDER BY seq {order} LIMIT ? OFFSET ?"
        return await self._database.read(
            lambda db: [
                rows.run_of(row) for row in db.execute(sql, (*values, _most(limit), offset))
            ]
        )

    async def count(self, which: RunFilter = ALL_RUNS) -> int:
        """Return the number of runs that the filter selects."""
        where, values = rows.where(which)
        sql = f"SELECT count(*) AS found FROM runs {where}"
        return await self._database.read(lambda db: db.execute(sql, values).fetchone()["found"])

    async def events(
        self,
        run_id: str | None = None,
        *,
        client: str | None = None,
        owner: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Milestone]:
        """Return events in order, after the one with the id `after`.

        Args:
            run_id: only events of this run.
            client: only events of this client's runs.
            owner: only events of this owner's runs.
            after: the id of the last event that is known.
            limit: the most events to return; all if negative.
        """
        where: list[str] = ["id > ?"]
        values: list[str | int] = [after]
        if run_id is not None:
            where.append("run = ?")
            values.append(run_id)
        if client is not None:
            where.append("run IN (SELECT id FROM runs WHERE client = ?)")
            values.append(client)
        if owner is not None:
            where.append("run IN (SELECT id FROM runs WHERE owner = ?)")
            values.append(owner)
        sql = f"SELECT * FROM events WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"
        return await self._database.read(
            lambda db: [rows.milestone_of(row) for row in db.execute(sql, (*values, _most(limit)))]
        )

    async def last_event(self) -> int:
        """Return the id of the newest event; 0 if there is none."""
        sql = "SELECT coalesce(max(id), 0) AS newest FROM events"
        return await self._database.read(lambda db: db.execute(sql).fetchone()["newest"])

    async def all_events(self, run_id: str) -> list[Milestone]:
        """Return every event of a run, in order."""
        return await self.events(run_id, limit=-1)

    async def results(self, run_ids: Sequence[str]) -> dict[str, list[Milestone]]:
        """Return the events with outputs (`ui`) of runs, in order, by run."""
        return await self._database.read(
            lambda db: {run_id: rows.results_of(db, run_id) for run_id in run_ids}
        )

    def _notify_deliveries(self, ended: tuple[Run, Milestone] | None) -> None:
        if ended and ended[0].webhook:
            self.deliveries.changed.set()

    async def writable(self) -> None:
        """Check that changes reach the disk.

        Raises:
            StorageError: the change could not be written.
        """
        await self._database.write(lambda db: db.touch())

    async def broadcast(self, payload: str) -> None:
        """Tell the other server processes something that is not kept: at most 7,999 bytes.

        Raises:
            StorageError: it could not be sent.
        """
        await self._database.broadcast(payload)

    def notices(self) -> AsyncIterator[Notice]:
        """Yield a notice when a server process has changed or said something, this one too.

        The first is empty, and so is one after each time that some may have been missed. With
        SQLite there is no other process, and never a notice.
        """
        return self._database.notices()


def _most(limit: int | None) -> int:
    """Return the limit for SQL; Postgres takes no negative one for all."""
    return 2**63 - 1 if limit is None or limit < 0 else limit


def _database(place: Path | str) -> Database:
    if isinstance(place, Path):
        return SqliteDatabase(place)
    if not place.startswith(("postgresql://", "postgres://")):
        message = "server.database is not the URL of a Postgres database."
        raise SettingsError(message, hint="For example postgresql://user@host/nodegraph.")
    try:
        from server.store.postgres.database import PostgresDatabase
    except ModuleNotFoundError as error:
        message = f"server.database needs the package {error.name}."
        raise SettingsError(message, hint="Install the extra: nodegraph[postgres].") from error
    return PostgresDatabase(place)
