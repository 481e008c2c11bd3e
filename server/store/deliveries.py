"""What has to be told to other servers: written down with the end of the run, until it is told."""

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Connection, Row

from server.store.database import Database
from server.store.runs import Run


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one URL."""

    id: str
    run: str
    url: str
    body: str
    failures: int
    """How often it was sent in vain."""
    due_ms: int
    """When it is sent next."""


class Deliveries:
    """The messages that wait.

    Args:
        database: holds them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.changed = asyncio.Event()
        """Whether there may be something new to send."""

    async def waiting(self, limit: int) -> list[Delivery]:
        """Those that come next."""
        sql = "SELECT * FROM deliveries ORDER BY due_ms, id LIMIT ?"
        return await self._database.read(
            lambda db: [_delivery(row) for row in db.execute(sql, (limit,))]
        )

    async def postpone(self, delivery: str, due_ms: int) -> None:
        """It was sent in vain."""
        sql = "UPDATE deliveries SET failures = failures + 1, due_ms = ? WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (due_ms, delivery)).rowcount)

    async def remove(self, delivery: str) -> None:
        """It was heard, or never will be."""
        sql = "DELETE FROM deliveries WHERE id = ?"
        await self._database.write(lambda db: db.execute(sql, (delivery,)).rowcount)


def add(db: Connection, run: Run) -> None:
    """A run is over, and somebody wants to know."""
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
