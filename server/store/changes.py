"""The changes to the store, each a function that runs inside one transaction."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from nodegraph.files.file_names import FileSeries, NumberedFile
from server.errors import (
    KeyReusedError,
    LostAttemptError,
    NoJsonError,
    RunExistsError,
    RunStateError,
)
from server.store import deliveries, rows
from server.store.database import Connection
from server.store.rows import ENDED_MARKS
from server.store.runs import ENDED, Accepted, Attempt, Ending, File, Milestone, NewRun, Run

NamedData: TypeAlias = tuple[str, Mapping[str, Any]]
"""The name and the data of an event."""
_CANCELLED = Ending("cancelled", "run_cancelled", {})


def now_ms() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def accept(db: Connection, new: NewRun) -> Accepted:
    """Put a run into the queue; if its id or its owner's key is there already, return that run."""
    if new.idempotency_key is not None:
        row = db.execute(
            "SELECT * FROM runs WHERE owner = ? AND idempotency_key = ?",
            (new.owner, new.idempotency_key),
        ).fetchone()
        if row is not None:
            if row["digest"] != new.digest:
                raise KeyReusedError(new.idempotency_key)
            return Accepted(rows.run_of(row), None)
    row = db.execute("SELECT * FROM runs WHERE id = ?", (new.id,)).fetchone()
    if row is not None:
        if not new.digest or (row["digest"], row["owner"]) != (new.digest, new.owner):
            raise RunExistsError(new.id)
        return Accepted(rows.run_of(row), None)
    last = db.execute(db.LAST_RUN).fetchone()
    following = float(last["seq"] if last else 0)
    number = new.number if new.number is not None else -following if new.front else following
    row = db.execute(
        "INSERT INTO runs (id, client, owner, priority, number, state, created_ms,"
        " queued_ms, idempotency_key, digest, webhook, servers, why, models, trace)"
        " VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
        (
            *(new.id, new.client, new.owner, new.priority, number, now := now_ms(), now),
            *(new.idempotency_key, new.digest, new.webhook),
            *(json.dumps([*new.servers]) if new.servers else "", new.why),
            json.dumps(new.models) if new.models else "",
            json.dumps(new.trace) if new.trace else "",
        ),
    ).fetchone()
    work = new.work
    parts = [_to_json(part) for part in (work.prompt, list(work.targets), work.extra)]
    db.execute(
        "INSERT INTO graphs (run, prompt, targets, extra, checksum) VALUES (?, ?, ?, ?, ?)",
        (new.id, *parts, rows.checksum(parts)),
    )
    place = {"servers": [*new.servers], "why": new.why} if new.why else {}
    (queued,) = _append(db, new.id, 0, [("run_queued", place)])
    return Accepted(rows.run_of(row), queued, sum(map(len, parts)))


def _to_json(part: object) -> str:
    try:
        return json.dumps(part, allow_nan=False)
    except ValueError as error:
        raise NoJsonError from error


def requeue(
    db: Connection, run_id: str, reason: str, *, suspect: bool = False, charged: bool = False
) -> tuple[Run, Milestone]:
    """Put an active run back into the queue."""
    db.execute(
        "UPDATE runs SET state = 'queued', worker = '', server = '', queued_ms = ?,"
        " deaths = deaths + ?, suspect = CASE WHEN ? = 1 THEN 1 ELSE suspect END"
        " WHERE id = ? AND state = 'running'",
        (now_ms(), int(charged), int(suspect), run_id),
    )
    (milestone,) = add_events(db, run_id, [("run_requeued", {"reason": reason})])
    return rows.get(db, run_id), milestone


def put_back(db: Connection, run: Run, reason: str) -> tuple[Run, Milestone]:
    """Put the run of a server that is gone back into the queue; end it if that was asked for."""
    _, ended = report(db, run.id, (), _CANCELLED) if run.cancel else ((), None)
    return ended or requeue(db, run.id, reason)


def check(db: Connection, run_id: str, attempt: Attempt | None) -> None:
    """Raise LostAttemptError unless the run is at this attempt; any will do if it is None."""
    if attempt is None:
        return
    held = db.execute(
        "SELECT id FROM runs WHERE id = ? AND state = 'running' AND server = ? AND attempts = ?",
        (run_id, *attempt),
    ).fetchone()
    if held is None:
        raise LostAttemptError(run_id)


def cancel(db: Connection, run_id: str) -> tuple[Run, Milestone | None] | None:
    """End a run that waits, or ask the server that computes it to; return None if it is over."""
    run = rows.find(db, run_id)
    if run is None or run.is_over:
        return None
    if run.state == "queued":
        _, ended = report(db, run_id, (), _CANCELLED)
        return ended
    db.execute("UPDATE runs SET cancel = 1 WHERE id = ?", (run_id,))
    db.announce()
    return replace(run, cancel=True), None


def report(
    db: Connection, run_id: str, events: Sequence[NamedData], ending: Ending
) -> tuple[list[Milestone], tuple[Run, Milestone] | None]:
    """Append events and record the end of a run, unless it had ended before."""
    run = _end(db, run_id, ending)
    if run is None:
        return add_events(db, run_id, events), None
    *added, last = add_events(db, run_id, [*events, (ending.event, ending.data)])
    if run.webhook:
        deliveries.add(db, run)
    return added, (run, last)


def _end(db: Connection, run_id: str, ending: Ending) -> Run | None:
    error = ending.data.get("error")
    row = db.execute(
        "UPDATE runs SET state = ?, error = ?, finished_ms = ?"
        f" WHERE id = ? AND state NOT IN {ENDED_MARKS} RETURNING *",
        (ending.state, json.dumps(error) if error else None, now_ms(), run_id, *ENDED),
    ).fetchone()
    return rows.run_of(row) if row is not None else None


def begin(db: Connection, run_id: str, worker: str, server: str) -> Run:
    """Claim a queued run for a worker of a server."""
    row = db.execute(
        "UPDATE runs SET state = 'running', attempts = attempts + 1, worker = ?,"
        " server = ?, started_ms = ? WHERE id = ? AND state = 'queued' RETURNING *",
        (worker, server, now_ms(), run_id),
    ).fetchone()
    if row is None:
        raise RunStateError(run_id, rows.get(db, run_id).state, "a queued one", "begun")
    db.announce()
    return rows.run_of(row)


def retry(db: Connection, run_id: str) -> tuple[Run, Milestone]:
    """Put a run that failed or was cancelled back into the queue."""
    state = rows.get(db, run_id).state
    if state not in ("failed", "cancelled"):
        raise RunStateError(run_id, state, "a failed or cancelled one")
    db.execute(
        "UPDATE runs SET state = 'queued', attempts = 0, deaths = 0, suspect = 0, worker = '',"
        " server = '', cancel = 0, error = NULL, started_ms = NULL, finished_ms = NULL,"
        " retries = retries + 1, queued_ms = ? WHERE id = ?",
        (now_ms(), run_id),
    )
    (queued,) = add_events(db, run_id, [("run_queued", {})])
    return rows.get(db, run_id), queued


def add_events(db: Connection, run_id: str, events: Sequence[NamedData]) -> list[Milestone]:
    """Number events and append them to a run; return none if the run is deleted."""
    row = db.execute(
        "SELECT (SELECT coalesce(max(sequence), 0) FROM events WHERE run = runs.id) AS last"
        " FROM runs WHERE id = ?",
        (run_id,),
    ).fetchone()
    return _append(db, run_id, row["last"], events) if row is not None and events else []


def _append(db: Connection, run_id: str, last: int, events: Sequence[NamedData]) -> list[Milestone]:
    """Append events after that with the number `last`, in one statement."""
    numbered = [
        (run_id, sequence, name, int(data.get("time_ms", now_ms())), data)
        for sequence, (name, data) in enumerate(events, last + 1)
    ]
    values = ", ".join(["(?, ?, ?, ?, ?)"] * len(numbered))
    newest = db.insert(
        f"INSERT INTO events (run, sequence, name, time_ms, data) VALUES {values}",
        [item for *facts, data in numbered for item in (*facts, json.dumps(data))],
    )
    db.announce(newest)
    first = newest - len(numbered) + 1  # their ids follow each other
    return [Milestone(number, *facts) for number, facts in enumerate(numbered, first)]


def name_file(db: Connection, file: File, place: FileSeries, first: int) -> NumberedFile:
    """Return the name that a file has; give it the first free number if it has none."""
    row = db.execute(
        "SELECT path, number FROM files WHERE run = ? AND node = ? AND position = ?", file
    ).fetchone()
    if row is not None:
        return NumberedFile(Path(row["path"]), row["number"], again=True)
    number = first
    while True:
        named = place.file(number)
        added = db.execute(
            "INSERT INTO files (run, node, position, path, number) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (*file, str(named.path), number),
        )
        if added.rowcount:
            return named
        number += 1


def unname_file(db: Connection, file: File) -> None:
    """Take the number of a file back."""
    db.execute("DELETE FROM files WHERE run = ? AND node = ? AND position = ?", file)


def prune(db: Connection, count: int, since_ms: int, most: int) -> int:
    """Delete finished runs except the newest `count`, and those that ended before `since_ms`."""
    removed = db.execute(
        f"DELETE FROM runs WHERE seq IN (SELECT seq FROM runs WHERE state IN {ENDED_MARKS}"
        " AND (finished_ms < ? OR seq <= coalesce((SELECT seq FROM runs"
        f" WHERE state IN {ENDED_MARKS} ORDER BY seq DESC LIMIT 1 OFFSET ?), -1))"
        " ORDER BY seq LIMIT ?)",
        (*ENDED, since_ms, *ENDED, count, most),
    ).rowcount
    db.shrink()
    return removed


def forget(db: Connection, wanted: list[str] | None, owner: str | None) -> list[str]:
    """Delete finished runs of an owner, or of all if None; return the ids of the deleted."""
    condition = f"state IN {ENDED_MARKS} AND owner = coalesce(?, owner)"
    if wanted is None:
        found = db.execute(f"SELECT id FROM runs WHERE {condition}", (*ENDED, owner))
        wanted = [row["id"] for row in found]
    removed: list[str] = []
    for run_id in wanted:
        sql = f"DELETE FROM runs WHERE id = ? AND {condition}"
        if db.execute(sql, (run_id, *ENDED, owner)).rowcount:
            removed.append(run_id)
    if removed:
        db.announce()
    return removed
