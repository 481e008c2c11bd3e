"""Connections to Postgres that take the SQL of the store."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from server.store.database import Cursor

LIVENESS = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "application_name": "nodegraph",
}
"""Options that let a connection notice within seconds that the network is cut; a URL overrides."""


class PostgresConnection:
    """A connection with the methods that `Connection` asks for.

    Args:
        connection: a connection in autocommit mode, whose rows are dictionaries.
    """

    LAST_RUN: ClassVar[str] = (
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS seq FROM runs_seq_seq"
    )
    HAS_UI: ClassVar[str] = "json_typeof(CAST(data AS json) -> 'ui') = 'object'"
    SKIP_LOCKED: ClassVar[str] = "FOR UPDATE SKIP LOCKED"

    def __init__(self, connection: "psycopg.Connection[DictRow]") -> None:
        self.raw = connection
        self.news: int | None = None
        """The newest event of the transaction; 0 if only other things changed; None if nothing."""

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> Cursor:
        """Run a statement; a null character in a text becomes U+FFFD, for Postgres has none."""
        return self.raw.execute(_translate(sql), [_storable(value) for value in values])

    def insert(self, sql: str, values: Sequence[Any], /) -> int:
        """Insert rows, and return the `id` of the last."""
        return max(row["id"] for row in self.execute(f"{sql} RETURNING id", values))

    def clock(self) -> int:
        """Return the database's time in milliseconds since 1970."""
        row = self.raw.execute(
            "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now"
        ).fetchone()
        return row["now"] if row else 0

    def announce(self, event: int = 0, /) -> None:
        """Have other processes told, once it is committed, that something has changed."""
        self.news = max(self.news or 0, event)

    def shrink(self) -> None:
        """Do nothing: Postgres cleans up by itself."""

    def touch(self) -> None:
        """Make a change that has to reach the disk."""
        self.raw.execute("UPDATE alembic_version SET version_num = version_num")


def _storable(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


@lru_cache(512)
def _translate(sql: str) -> bytes:
    """Return a statement with the placeholders that psycopg knows."""
    return sql.replace("?", "%s").encode()


def connect(url: str) -> "psycopg.Connection[DictRow]":
    """Return a new connection that commits each statement; raises psycopg.Error."""
    return psycopg.Connection[DictRow].connect(
        conninfo_of(url), autocommit=True, row_factory=dict_row
    )


async def connect_async(url: str) -> "psycopg.AsyncConnection[DictRow]":
    """Return a new connection for the event loop; raises psycopg.Error."""
    return await psycopg.AsyncConnection[DictRow].connect(
        conninfo_of(url), autocommit=True, row_factory=dict_row
    )


def conninfo_of(url: str) -> str:
    """Return what libpq is to connect by: the URL, and `LIVENESS` for what it leaves open."""
    return make_conninfo("", **{**LIVENESS, **conninfo_to_dict(url)})


def reason_of(error: Exception) -> str:
    """Return the first line of an error, for a sentence of ours."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].strip().rstrip(".")


def address_of(url: str) -> str:
    """Return a URL without its password and options, for messages."""
    parts = urlsplit(url)
    user = f"{unquote(parts.username)}@" if parts.username else ""
    host = parts.netloc.rpartition("@")[2]
    return f"postgresql://{user}{host}{parts.path}"
