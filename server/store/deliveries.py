"""Webhook messages that wait: stored with the end of a run, and kept until they are delivered."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from server.store.database import Connection, Database, Row
from server.store.runs import Run


@dataclass(frozen=True, slots=True)
class Delivery:
    """A webhook message to a URL."""

    id: str
    run: str
    url: str
    body: str
    failures: int
    """Number of failed attempts."""
    due_ms: int
    """Time of the next attempt, in milliseconds since 1970."""


class Deliveries:
    """The webhook messages that wait.

    Args:
        database: stores them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changed = asyncio.Event()
        """Set when there may be a new message."""

    async def next_due(self, limit: int) -> list[Delivery]:
        """Return the messages that are due first."""
        sql = "SELECT * FROM deliveries ORDER BY due_ms, id LIMIT ?"
        return await self._database.read(
            lambda db: [_delivery(row) for row in db.execute(sql, (limit,))]
        )

    async def claim(self, delivery: Delivery, until_ms: int) -> bool:
        """Have other servers leave a message alone until a time; False if one has claimed it."""
        sql = "UPDATE deliveries SET due_ms = ? WHERE id = ? AND due_ms = ?"
        values = (until_ms, delivery.id, delivery.due_ms)
        return await self._database.write(lambda db: bool(db.execute(sql, values).rowcount))

    async def postpone(self, delivery: str, due_ms: int) -> None:
        """Count a failed attempt and set the time of the next."""
        sql = "UPDATE deliveries SET failures = failures + 1, due_ms = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (due_ms, delivery)).rowcount)

    async def remove(self, delivery: str) -> None:
        """Delete a message that was delivered or given up."""
        sql = "DELETE FROM deliveries WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (delivery,)).rowcount)


def add(db: Connection, run: Run) -> None:
    """Add the message that a run is over."""
    ended_ms = run.finished_ms or run.created_ms
    body = {
        "type": f"run.{run.state}",
        "timestamp": datetime.fromtimestamp(ended_ms / 1000, UTC).isoformat(),
        "data": {
            "id": run.id,
            "status": run.state,
            "client": run.client,
            "created_ms": run.created_ms,
            "started_ms": run.started_ms,
            "finished_ms": run.finished_ms,
            "error": run.error,
        },
    }
    db.execute(
        "INSERT INTO deliveries (id, run, url, body, due_ms) VALUES (?, ?, ?, ?, ?)",
        (f"msg_{uuid.uuid4().hex}", run.id, run.webhook, json.dumps(body), ended_ms),
    )


def _delivery(row: Row) -> Delivery:
    return Delivery(row["id"], row["run"], row["url"], row["body"], row["failures"], row["due_ms"])
