"""The server processes that share a store: their signs of life, and the runs of those that died."""

import asyncio
from dataclasses import dataclass

from server.store import changes, rows
from server.store.database import Connection, Database
from server.store.runs import Milestone, Run


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """A server process, as the others know it."""

    name: str
    address: str
    """Where it listens."""
    seen_ms: int
    """Its last sign of life, in milliseconds since 1970 by the database's clock."""
    age_ms: int
    """The milliseconds since then."""


class Servers:
    """The server processes that share the store.

    Args:
        database: keeps them.
        delivery: set when a run has ended that has a webhook.
    """

    def __init__(self, database: Database, delivery: asyncio.Event) -> None:
        self._database = database
        self._delivery = delivery

    async def beat(self, name: str, address: str = "") -> bool:
        """Give a sign of life; return False if the server was unknown: new, or given up.

        It waits for no other change, so that a busy store does not look like a dead server.

        Raises:
            StorageError: it could not be written.
        """
        return await self._database.write_aside(lambda db: _beat(db, name, address))

    async def find_all(self) -> list[ServerSeen]:
        """Return the servers that are known, by name."""

        def question(db: Connection) -> list[ServerSeen]:
            now = db.clock()
            found = db.execute("SELECT * FROM servers ORDER BY name")
            return [
                ServerSeen(row["name"], row["address"], row["seen_ms"], now - row["seen_ms"])
                for row in found
            ]

        return await self._database.read(question)

    async def find_lapsed(self, lease_ms: int) -> list[str]:
        """Return the names of servers that gave no sign of life for so long, or have runs but none.

        Args:
            lease_ms: the milliseconds that a sign of life is good for.
        """
        sql = (
            "SELECT name FROM servers WHERE seen_ms < ? UNION"
            " SELECT server FROM runs WHERE state = 'running' AND server <> ''"
            " AND server NOT IN (SELECT name FROM servers) ORDER BY 1"
        )
        return await self._database.read(
            lambda db: [row["name"] for row in db.execute(sql, (db.clock() - lease_ms,))]
        )

    async def take_over(
        self, name: str, reason: str, lease_ms: int | None = None
    ) -> list[tuple[Run, Milestone]]:
        """Give a server up, and put the runs that it computed back into the queue.

        Runs that somebody asked to cancel end instead. What the server still reports on these
        attempts is refused.

        Args:
            name: the server.
            reason: the reason, for the events.
            lease_ms: only if it gave no sign of life for so many milliseconds; at once if None.
        """
        taken = await self._database.write(lambda db: _take_over(db, name, reason, lease_ms))
        if any(run.is_over and run.webhook for run, _ in taken):
            self._delivery.set()
        return taken

    async def find_cancelled(self, name: str) -> list[str]:
        """Return the ids of the runs of a server that somebody asked to cancel elsewhere."""
        sql = "SELECT id FROM runs WHERE state = 'running' AND server = ? AND cancel = 1"
        return await self._database.read(lambda db: [row["id"] for row in db.execute(sql, (name,))])


def _beat(db: Connection, name: str, address: str) -> bool:
    seen = (address, db.clock(), name)
    if db.execute("UPDATE servers SET address = ?, seen_ms = ? WHERE name = ?", seen).rowcount:
        return True
    db.execute(
        "INSERT INTO servers (address, seen_ms, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", seen
    )
    return False


def _take_over(
    db: Connection, name: str, reason: str, lease_ms: int | None
) -> list[tuple[Run, Milestone]]:
    if lease_ms is not None:
        alive = "SELECT name FROM servers WHERE name = ? AND seen_ms >= ?"
        if db.execute(alive, (name, db.clock() - lease_ms)).fetchone():
            return []
    db.execute("DELETE FROM servers WHERE name = ?", (name,))
    running = "SELECT * FROM runs WHERE state = 'running' AND server = ? ORDER BY seq"
    found = [rows.run_of(row) for row in db.execute(running, (name,))]
    return [changes.put_back(db, run, reason) for run in found]
