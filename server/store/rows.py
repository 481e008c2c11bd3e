"""Converts rows of the tables to runs, work and milestones."""

import json
import zlib
from collections.abc import Sequence

from server.errors import DamagedRunError, UnknownRunError
from server.store.database import Connection, Row
from server.store.runs import ENDED, Milestone, Run, RunFilter, Work

ENDED_MARKS = "(" + ",".join("?" * len(ENDED)) + ")"
"""Placeholders for the states that a run ends in."""


def where(which: RunFilter) -> tuple[str, tuple[object, ...]]:
    """Return the WHERE clause that selects runs, and its values."""
    conditions = ["started_ms IS NOT NULL"] if which.begun else []
    values: list[object] = list(which.states)
    if which.states:
        conditions.append(f"state IN ({','.join('?' * len(which.states))})")
    named = (("owner = ?", which.owner), ("client = ?", which.client), ("seq < ?", which.before))
    for condition, value in named:
        if value is not None:
            conditions.append(condition)
            values.append(value)
    return (f"WHERE {' AND '.join(conditions)}" if conditions else "", tuple(values))


def find(db: Connection, run_id: str) -> Run | None:
    """Return a run; None if there is none of that id."""
    row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
    return run_of(row) if row is not None else None


def get(db: Connection, run_id: str) -> Run:
    """Return a run; raises UnknownRunError."""
    run = find(db, run_id)
    if run is None:
        raise UnknownRunError(run_id)
    return run


def work_of(db: Connection, run_id: str) -> Work:
    """Return the work of a run; raises UnknownRunError or DamagedRunError."""
    row = db.execute("SELECT * FROM graphs WHERE run = ?", (run_id,)).fetchone()
    if row is None:
        raise UnknownRunError(run_id)
    parts = [row[name] for name in ("prompt", "targets", "extra")]
    if checksum(parts) != row["checksum"]:
        raise DamagedRunError(run_id)
    prompt, targets, extra = (json.loads(part) for part in parts)
    return Work(prompt=prompt, targets=targets, extra=extra)


def checksum(parts: Sequence[str]) -> int:
    """Return the checksum that reveals a damaged graph."""
    return zlib.crc32("\n".join(parts).encode())


def run_of(row: Row) -> Run:
    """Return the run in a row of `runs`."""
    return Run(
        seq=row["seq"],
        id=row["id"],
        client=row["client"],
        owner=row["owner"],
        priority=row["priority"],
        number=float(row["number"]),  # RETURNING gives whole numbers as integers
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
        servers=tuple(json.loads(row["servers"])) if row["servers"] else (),
        why=row["why"],
        retries=row["retries"],
        models=json.loads(row["models"]) if row["models"] else {},
        server=row["server"],
        cancel=bool(row["cancel"]),
        trace=json.loads(row["trace"]) if row["trace"] else {},
        queued_ms=row["queued_ms"],
    )


def milestone_of(row: Row) -> Milestone:
    """Return the milestone in a row of `events`."""
    data = json.loads(row["data"])
    return Milestone(row["id"], row["run"], row["sequence"], row["name"], row["time_ms"], data)


def results_of(db: Connection, run_id: str) -> list[Milestone]:
    """Return the events of a run that have outputs (`ui`), in order."""
    sql = (
        "SELECT * FROM events WHERE run = ? AND name IN ('node_finished', 'node_cached')"
        f" AND {db.HAS_UI} ORDER BY id"
    )
    return [milestone_of(row) for row in db.execute(sql, (run_id,))]
