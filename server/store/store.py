"""What the server writes down and asks for; every change is on the disk when it returns."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection, Row
from typing import Any, NamedTuple

from nodegraph.naming import Named, Place
from server.errors import KeyReusedError, RunExistsError, RunStateError, UnknownRunError
from server.store.database import Database
from server.store.runs import ENDED, Accepted, Milestone, NewRun, Run, State, Work

_MARKS = "(" + ",".join("?" * len(ENDED)) + ")"


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class File(NamedTuple):
    """A file that a run saves: the node's first is at position 0."""

    run: str
    node: str
    position: int


class Store:
    """The durable queue.

    Args:
        path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)

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
        return await self._database.write(lambda db: _accept(db, new))

    async def begin(self, run_id: str, worker: str) -> Run:
        """A worker takes it."""
        return await self._database.write(lambda db: _begin(db, run_id, worker))

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

        def change(db: Connection) -> tuple[Run, Milestone]:
            db.execute(
                "UPDATE runs SET state = 'queued', worker = '', deaths = deaths + ?,"
                " suspect = max(suspect, ?) WHERE id = ? AND state = 'running'",
                (charged, suspect, run_id),
            )
            (milestone,) = _add_events(db, run_id, [("run_requeued", {"reason": reason})])
            return _get(db, run_id), milestone

        return await self._database.write(change)

    async def end(
        self,
        run_id: str,
        state: State,
        event: tuple[str, Mapping[str, Any]],
        error: Mapping[str, Any] | None = None,
    ) -> tuple[Run, Milestone] | None:
        """It is over, and its last event says so; None if it was over already."""

        def change(db: Connection) -> tuple[Run, Milestone] | None:
            changed = db.execute(
                "UPDATE runs SET state = ?, error = ?, finished_ms = ?"
                f" WHERE id = ? AND state NOT IN {_MARKS}",
                (state, json.dumps(error) if error else None, now_ms(), run_id, *ENDED),
            )
            if not changed.rowcount:
                return None
            (milestone,) = _add_events(db, run_id, [event])
            return _get(db, run_id), milestone

        return await self._database.write(change)

    async def retry(self, run_id: str) -> tuple[Run, Milestone]:
        """Put an unsuccessful run into the queue once more.

        Raises:
            UnknownRunError: there is none.
            RunStateError: it did not fail, nor was it cancelled.
        """
        return await self._database.write(lambda db: _retry(db, run_id))

    async def add_events(
        self, run_id: str, events: Sequence[tuple[str, Mapping[str, Any]]]
    ) -> list[Milestone]:
        """Append to a run's events, in this order."""
        return await self._database.write(lambda db: _add_events(db, run_id, events))

    async def name_file(self, file: File, place: Place, first: int) -> Named:
        """The number that a run's file gets, and always gets: an earlier attempt may have it.

        Args:
            file: which file.
            place: where it goes.
            first: the lowest number that would do.
        """
        return await self._database.write(lambda db: _name_file(db, file, place, first))

    async def unname_file(self, file: File) -> None:
        """Somebody else has a file of that name."""

        def change(db: Connection) -> None:
            db.execute("DELETE FROM files WHERE run = ? AND node = ? AND position = ?", file)

        await self._database.write(change)

    async def forget(self, run_ids: Iterable[str] | None = None) -> list[str]:
        """Remove runs that are over, or all such if None; which were removed."""
        wanted = None if run_ids is None else list(run_ids)
        return await self._database.write(lambda db: _forget(db, wanted))

    async def keep(self, count: int) -> int:
        """Remove all ended runs but the newest; how many were removed."""

        def change(db: Connection) -> int:
            return db.execute(
                f"DELETE FROM runs WHERE seq IN (SELECT seq FROM runs WHERE state IN {_MARKS}"
                " ORDER BY seq DESC LIMIT -1 OFFSET ?)",
                (*ENDED, count),
            ).rowcount

        return await self._database.write(change)

    async def run(self, run_id: str) -> Run:
        """One run.

        Raises:
            UnknownRunError: there is none.
        """
        return await self._database.read(lambda db: _get(db, run_id))

    async def find(self, run_id: str) -> Run | None:
        """One run, if there is one of that id."""

        def question(db: Connection) -> Run | None:
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            return _run(row) if row is not None else None

        return await self._database.read(question)

    async def these(self, run_ids: Sequence[str]) -> list[Run]:
        """Those of these runs that there are, in the same order."""

        def question(db: Connection) -> list[Run]:
            found = (
                db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
                for run_id in run_ids
            )
            return [_run(row) for row in found if row is not None]

        return await self._database.read(question)

    async def work(self, run_id: str) -> Work:
        """What a run computes.

        Raises:
            UnknownRunError: there is none.
        """
        return await self._database.read(lambda db: _work(db, run_id))

    async def runs(
        self,
        states: Sequence[State] = (),
        *,
        before: int | None = None,
        limit: int | None = None,
        offset: int = 0,
        oldest_first: bool = False,
    ) -> list[Run]:
        """Runs, newest first unless `oldest_first`.

        Args:
            states: which; all if empty.
            before: only those accepted before the one with this `seq`.
            limit: how many at most.
            offset: how many to leave out first.
            oldest_first: the other way round.
        """
        where, values = _where(states, before)
        order = "ASC" if oldest_first else "DESC"
        sql = f"SELECT * FROM runs {where} ORDER BY seq {order} LIMIT ? OFFSET ?"
        last = -1 if limit is None else limit
        return await self._database.read(
            lambda db: [_run(row) for row in db.execute(sql, (*values, last, offset))]
        )

    async def count(self, states: Sequence[State] = ()) -> int:
        """How many runs there are."""
        where, values = _where(states, None)
        sql = f"SELECT count(*) FROM runs {where}"
        return await self._database.read(lambda db: db.execute(sql, values).fetchone()[0])

    async def events(
        self,
        run_id: str | None = None,
        *,
        client: str | None = None,
        after: int = 0,
        limit: int = 1000,
    ) -> list[Milestone]:
        """Events in order, after the one with this `id`.

        Args:
            run_id: of this run only.
            client: of this client's runs only.
            after: see above.
            limit: how many at most.
        """
        where, values = ["id > ?"], [str(after)]
        if run_id is not None:
            where, values = [*where, "run = ?"], [*values, run_id]
        if client is not None:
            where.append("run IN (SELECT id FROM runs WHERE client = ?)")
            values.append(client)
        sql = f"SELECT * FROM events WHERE {' AND '.join(where)} ORDER BY id LIMIT ?"
        return await self._database.read(
            lambda db: [_milestone(row) for row in db.execute(sql, (*values, limit))]
        )

    async def all_events(self, run_id: str) -> list[Milestone]:
        """Every event of a run, in order."""
        return await self.events(run_id, limit=-1)

    async def writable(self) -> None:
        """Make sure that changes reach the disk.

        Raises:
            StorageError: they do not.
        """
        await self._database.write(lambda db: db.execute("PRAGMA user_version").fetchone())


def _accept(db: Connection, new: NewRun) -> Accepted:
    if new.idempotency_key is not None:
        row = db.execute(
            "SELECT * FROM runs WHERE idempotency_key = ?", (new.idempotency_key,)
        ).fetchone()
        if row is not None:
            if row["digest"] != new.digest:
                raise KeyReusedError(new.idempotency_key)
            return Accepted(_run(row), None)
    if db.execute("SELECT 1 FROM runs WHERE id = ?", (new.id,)).fetchone():
        raise RunExistsError(new.id)
    last = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'runs'").fetchone()
    following = float(last["seq"] if last else 0)
    number = new.number if new.number is not None else -following if new.front else following
    db.execute(
        "INSERT INTO runs (id, client, priority, number, state, created_ms, idempotency_key,"
        " digest, webhook) VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
        (
            *(new.id, new.client, new.priority, number, now_ms()),
            *(new.idempotency_key, new.digest, new.webhook),
        ),
    )
    work = new.work
    db.execute(
        "INSERT INTO graphs (run, prompt, targets, extra) VALUES (?, ?, ?, ?)",
        (new.id, *(json.dumps(part) for part in (work.prompt, list(work.targets), work.extra))),
    )
    (queued,) = _add_events(db, new.id, [("run_queued", {})])
    return Accepted(_get(db, new.id), queued)


def _begin(db: Connection, run_id: str, worker: str) -> Run:
    changed = db.execute(
        "UPDATE runs SET state = 'running', attempts = attempts + 1, worker = ?,"
        " started_ms = ? WHERE id = ? AND state = 'queued'",
        (worker, now_ms(), run_id),
    )
    if not changed.rowcount:
        raise RunStateError(run_id, _get(db, run_id).state, "a queued one")
    return _get(db, run_id)


def _retry(db: Connection, run_id: str) -> tuple[Run, Milestone]:
    state = _get(db, run_id).state
    if state not in ("failed", "cancelled"):
        raise RunStateError(run_id, state, "a failed or cancelled one")
    db.execute(
        "UPDATE runs SET state = 'queued', attempts = 0, deaths = 0, suspect = 0, worker = '',"
        " error = NULL, started_ms = NULL, finished_ms = NULL WHERE id = ?",
        (run_id,),
    )
    (queued,) = _add_events(db, run_id, [("run_queued", {})])
    return _get(db, run_id), queued


def _add_events(
    db: Connection, run_id: str, events: Sequence[tuple[str, Mapping[str, Any]]]
) -> list[Milestone]:
    if not db.execute("SELECT 1 FROM runs WHERE id = ?", (run_id,)).fetchone():
        return []
    (last,) = db.execute(
        "SELECT coalesce(max(sequence), 0) FROM events WHERE run = ?", (run_id,)
    ).fetchone()
    kept: list[Milestone] = []
    for sequence, (name, data) in enumerate(events, last + 1):
        time_ms = int(data.get("time_ms", now_ms()))
        row = (run_id, sequence, name, time_ms, json.dumps(data))
        added = db.execute(
            "INSERT INTO events (run, sequence, name, time_ms, data) VALUES (?, ?, ?, ?, ?)", row
        )
        kept.append(Milestone(added.lastrowid or 0, run_id, sequence, name, time_ms, data))
    return kept


def _name_file(db: Connection, file: File, place: Place, first: int) -> Named:
    row = db.execute(
        "SELECT number FROM files WHERE run = ? AND node = ? AND position = ?", file
    ).fetchone()
    if row is not None:
        return Named(row["number"], again=True)
    number = first
    while True:
        added = db.execute(
            "INSERT OR IGNORE INTO files (run, node, position, path, number)"
            " VALUES (?, ?, ?, ?, ?)",
            (*file, str(place.folder / place.name(number)), number),
        )
        if added.rowcount:
            return Named(number, again=False)
        number += 1


def _forget(db: Connection, wanted: list[str] | None) -> list[str]:
    if wanted is None:
        found = db.execute(f"SELECT id FROM runs WHERE state IN {_MARKS}", ENDED)
        wanted = [row["id"] for row in found]
    removed: list[str] = []
    for run_id in wanted:
        sql = f"DELETE FROM runs WHERE id = ? AND state IN {_MARKS}"
        if db.execute(sql, (run_id, *ENDED)).rowcount:
            removed.append(run_id)
    return removed


def _where(states: Sequence[State], before: int | None) -> tuple[str, tuple[object, ...]]:
    conditions: list[str] = []
    if states:
        conditions.append(f"state IN ({','.join('?' * len(states))})")
    if before is not None:
        conditions.append("seq < ?")
    values = (*states, *(() if before is None else (before,)))
    return (f"WHERE {' AND '.join(conditions)}" if conditions else "", values)


def _get(db: Connection, run_id: str) -> Run:
    row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None:
        raise UnknownRunError(run_id)
    return _run(row)


def _work(db: Connection, run_id: str) -> Work:
    row = db.execute("SELECT * FROM graphs WHERE run = ?", (run_id,)).fetchone()
    if row is None:
        raise UnknownRunError(run_id)
    parts = (json.loads(row[name]) for name in ("prompt", "targets", "extra"))
    prompt, targets, extra = parts
    return Work(prompt=prompt, targets=targets, extra=extra)


def _run(row: Row) -> Run:
    return Run(
        seq=row["seq"],
        id=row["id"],
        client=row["client"],
        priority=row["priority"],
        number=row["number"],
        state=row["state"],
        attempts=row["attempts"],
        deaths=row["deaths"],
        suspect=bool(row["suspect"]),
        worker=row["worker"],
        created_ms=row["created_ms"],
        started_ms=row["started_ms"],
        finished_ms=row["finished_ms"],
        error=json.loads(row["error"]) if row["error"] else None,
        webhook=row["webhook"],
    )


def _milestone(row: Row) -> Milestone:
    data = json.loads(row["data"])
    return Milestone(row["id"], row["run"], row["sequence"], row["name"], row["time_ms"], data)
