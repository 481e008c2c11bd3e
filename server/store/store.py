"""The store of runs and events; every change is on the disk when its method returns."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection

from nodegraph.files.file_names import FileSeries, NumberedFile
from server.errors import DamagedRunError, UnknownRunError
from server.store import changes, rows
from server.store.changes import NamedData
from server.store.database import Database
from server.store.deliveries import Deliveries
from server.store.runs import (
    ALL_RUNS,
    Accepted,
    Ending,
    File,
    Milestone,
    NewRun,
    Run,
    RunFilter,
    Work,
)
from server.store.schema import VERSION


class Store:
    """The durable queue: runs, their events, their files and their webhooks.

    Args:
        path: the database file.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.deliveries = Deliveries(self._database)

    def open(self) -> None:
        """Open and check the database.

        Raises:
            DamagedStoreError: the database is damaged.
            NewerStoreError: a later version wrote it.
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

    async def begin(self, run_id: str, worker: str) -> Run:
        """Record that a worker starts a queued run, and return the run."""
        return await self._database.write(lambda db: changes.begin(db, run_id, worker))

    async def requeue(
        self, run_id: str, reason: str, *, suspect: bool = False, charged: bool = False
    ) -> tuple[Run, Milestone]:
        """Put an active run back into the queue.

        Args:
            run_id: the run.
            reason: the reason, for the event.
            suspect: True if the run may have killed its worker.
            charged: True if it certainly did, because it ran there alone.
        """
        return await self._database.write(
            lambda db: changes.requeue(db, run_id, reason, suspect=suspect, charged=charged)
        )

    async def end(self, run_id: str, ending: Ending) -> tuple[Run, Milestone] | None:
        """Record the end of a run and its last event; return None if it had ended before."""
        _, ended = await self.report(run_id, (), ending)
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
    ) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
        """Append events to a run, in this order, and end it if `ending` is given; see `end`."""

        def work(db: Connection) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
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

        def question(db: Connection) -> Run | None:
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            return rows.run_of(row) if row is not None else None

        return await self._database.read(question)

    async def find_many(self, run_ids: Sequence[str]) -> list[Run]:
        """Return the runs with these ids that exist, in the same order."""

        def question(db: Connection) -> list[Run]:
            found = (
                db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
                for run_id in run_ids
            )
            return [rows.run_of(row) for row in found if row is not None]

        return await self._database.read(question)

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
            limit: the most runs to return.
            offset: the number of runs to skip first.
            oldest_first: the reverse order.
        """
        where, values = rows.where(which)
        order = "ASC" if oldest_first else "DESC"
        sql = f"SELECT * FROM runs {where} ORDER BY seq {order} LIMIT ? OFFSET ?"
        last = -1 if limit is None else limit
        return await self._database.read(
            lambda db: [rows.run_of(row) for row in db.execute(sql, (*values, last, offset))]
        )

    async def count(self, which: RunFilter = ALL_RUNS) -> int:
        """Return the number of runs that the filter selects."""
        where, values = rows.where(which)
        sql = f"SELECT count(*) FROM runs {where}"
        return await self._database.read(lambda db: db.execute(sql, values).fetchone()[0])

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
            limit: the most events to return.
        """
        where, values = ["id > ?"], [str(after)]
        if run_id is not None:
            where, values = [*where, "run = ?"], [*values, run_id]
        if client is not None:
            where.append("run IN (SELECT id FROM runs WHERE client = ?)")
            values.append(client)
        if owner is not None:
            where.append("run IN (SELECT id FROM runs WHERE owner = ?)")
            values.append(owner)
        sql = f"SELECT * FROM events WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"
        return await self._database.read(
            lambda db: [rows.milestone_of(row) for row in db.execute(sql, (*values, limit))]
        )

    async def last_event(self) -> int:
        """Return the id of the newest event; 0 if there is none."""
        sql = "SELECT coalesce(max(id), 0) FROM events"
        return await self._database.read(lambda db: db.execute(sql).fetchone()[0])

    async def all_events(self, run_id: str) -> list[Milestone]:
        """Return every event of a run, in order."""
        return await self.events(run_id, limit=-1)

    async def results(self, run_ids: Sequence[str]) -> dict[str, list[Milestone]]:
        """Return the events with outputs (`ui`) of runs, in order, by run."""
        sql = (
            "SELECT * FROM events WHERE run = ? AND name IN ('node_finished', 'node_cached')"
            " AND json_type(data, '$.ui') = 'object' ORDER BY id"
        )
        return await self._database.read(
            lambda db: {
                run_id: [rows.milestone_of(row) for row in db.execute(sql, (run_id,))]
                for run_id in run_ids
            }
        )

    def _notify_deliveries(self, ended: tuple[Run, Milestone] | None) -> None:
        if ended and ended[0].webhook:
            self.deliveries.changed.set()

    async def writable(self) -> None:
        """Check that changes reach the disk.

        Raises:
            StorageError: the change could not be written.
        """
        await self._database.write(lambda db: db.execute(f"PRAGMA user_version = {VERSION}"))
