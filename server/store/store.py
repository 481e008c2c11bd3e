"""What the server writes down and asks for; every change is on the disk when it returns."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from nodegraph.naming import FileSeries, NumberedFile
from server.errors import DamagedRunError, UnknownRunError
from server.store import changes, rows
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
    """The durable queue.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        self.deliveries = Deliveries(self._database)

    def open(self) -> None:
        """Check what is there.

        Raises:
            DamagedStoreError: the database is damaged.
            NewerStoreError: a later version wrote it.
        """
        self._database.open()

    def close(self) -> None:
        """Finish what waits to be written."""
        self._database.close()

    async def accept(self, new: NewRun) -> Accepted:
        """Put a run into the queue.

        Raises:
            KeyReusedError: its key came with another request before.
            RunExistsError: there is a run of its id.
            StorageError: it could not be written.
        """
        return await self._database.write(lambda db: changes.accept(db, new))

    async def begin(self, run_id: str, worker: str) -> Run:
        """A worker takes it."""
        return await self._database.write(lambda db: changes.begin(db, run_id, worker))

    async def requeue(
        self, run_id: str, reason: str, *, suspect: bool = False, charged: bool = False
    ) -> tuple[Run, Milestone]:
        """It goes back into the queue.

        Args:
            run_id: which run.
            reason: why.
            suspect: whether it may have been the cause.
            charged: whether it was, for nothing else ran there.
        """
        return await self._database.write(
            lambda db: changes.requeue(db, run_id, reason, suspect=suspect, charged=charged)
        )

    async def end(self, run_id: str, ending: Ending) -> tuple[Run, Milestone] | None:
        """It is over, and its last event says so; None if it was over already."""
        ended = await self._database.write(lambda db: changes.end(db, run_id, ending))
        self._notify_deliveries(ended)
        return ended

    async def retry(self, run_id: str) -> tuple[Run, Milestone]:
        """Put an unsuccessful run into the queue once more.

        Raises:
            UnknownRunError: there is none.
            RunStateError: it did not fail, nor was it cancelled.
        """
        return await self._database.write(lambda db: changes.retry(db, run_id))

    async def report(
        self,
        run_id: str,
        events: Sequence[tuple[str, Mapping[str, Any]]],
        ending: Ending | None = None,
    ) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
        """Append to a run's events, in this order, and end it if that is said; see `end`."""

        def work(db: Connection) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
            added = changes.add_events(db, run_id, events)
            return added, changes.end(db, run_id, ending) if ending else None

        written = await self._database.write(work)
        self._notify_deliveries(written[1])
        return written

    async def name_file(self, file: File, place: FileSeries, first: int) -> NumberedFile:
        """The number that a run's file gets, and always gets: an earlier attempt may have it.

        Args:
            file: which file.
            place: where it goes.
            first: the lowest number that would do.
        """
        return await self._database.write(lambda db: changes.name_file(db, file, place, first))

    async def unname_file(self, file: File) -> None:
        """Somebody else has a file of that name."""
        await self._database.write(lambda db: changes.unname_file(db, file))

    async def forget(
        self, run_ids: Iterable[str] | None = None, *, owner: str | None = None
    ) -> list[str]:
        """Remove runs that are over, or all such if None; which were removed.

        Args:
            run_ids: see above.
            owner: of this owner only.
        """
        wanted = None if run_ids is None else list(run_ids)
        return await self._database.write(lambda db: changes.forget(db, wanted, owner))

    async def prune(self, count: int, since_ms: int = 0, most: int = 500) -> int:
        """Remove runs that are over, with all that is known of them; how many were removed.

        Args:
            count: the newest so many stay.
            since_ms: those that ended before go in any case.
            most: how many go at once; the oldest first.
        """
        return await self._database.write(lambda db: changes.prune(db, count, since_ms, most))

    async def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            UnknownRunError: there is none.
        """
        return await self._database.read(lambda db: rows.get(db, run_id))

    async def find(self, run_id: str) -> Run | None:
        """One run, if there is one of that id."""

        def question(db: Connection) -> Run | None:
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            return rows.run_of(row) if row is not None else None

        return await self._database.read(question)

    async def find_many(self, run_ids: Sequence[str]) -> list[Run]:
        """Those of these runs that there are, in the same order."""

        def question(db: Connection) -> list[Run]:
            found = (
                db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
                for run_id in run_ids
            )
            return [rows.run_of(row) for row in found if row is not None]

        return await self._database.read(question)

    async def work(self, run_id: str) -> Work:
        """What a run computes.

        Raises:
            UnknownRunError: there is none.
        """
        return await self._database.read(lambda db: rows.work_of(db, run_id))

    async def works(self, run_ids: Sequence[str]) -> dict[str, Work]:
        """What these runs compute, as far as they are there and whole."""

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
        """Runs, newest first unless `oldest_first`.

        Args:
            which: see there.
            limit: how many at most.
            offset: how many to leave out first.
            oldest_first: the other way round.
        """
        where, values = rows.where(which)
        order = "ASC" if oldest_first else "DESC"
        sql = f"SELECT * FROM runs {where} ORDER BY seq {order} LIMIT ? OFFSET ?"
        last = -1 if limit is None else limit
        return await self._database.read(
            lambda db: [rows.run_of(row) for row in db.execute(sql, (*values, last, offset))]
        )

    async def count(self, which: RunFilter = ALL_RUNS) -> int:
        """How many runs there are."""
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
        """Events in order, after the one with this `id`.

        Args:
            run_id: of this run only.
            client: of this client's runs only.
            owner: of this owner's runs only.
            after: see above.
            limit: how many at most.
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
        """The number of the newest event; 0 if there is none."""
        sql = "SELECT coalesce(max(id), 0) FROM events"
        return await self._database.read(lambda db: db.execute(sql).fetchone()[0])

    async def all_events(self, run_id: str) -> list[Milestone]:
        """Every event of a run, in order."""
        return await self.events(run_id, limit=-1)

    async def results(self, run_ids: Sequence[str]) -> dict[str, list[Milestone]]:
        """What runs showed: the events of theirs that have a `ui`, in order, by run."""
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
        """Make sure that changes reach the disk.

        Raises:
            StorageError: they do not.
        """
        await self._database.write(lambda db: db.execute(f"PRAGMA user_version = {VERSION}"))
