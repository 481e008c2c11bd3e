"""The tables of the SQLite database, and the migrations from older versions."""

from pathlib import Path
from sqlite3 import Connection, DatabaseError

from server.errors import DamagedStoreError, NewerStoreError

_FIRST = """
CREATE TABLE runs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    priority INTEGER NOT NULL,
    number REAL NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    worker TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    error TEXT,
    idempotency_key TEXT UNIQUE,
    digest TEXT NOT NULL DEFAULT '',
    webhook TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX runs_by_state ON runs (state, seq);

CREATE TABLE graphs (
    run TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    targets TEXT NOT NULL,
    extra TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    name TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (run, sequence)
) STRICT;

CREATE TABLE files (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    node TEXT NOT NULL,
    position INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    number INTEGER NOT NULL,
    PRIMARY KEY (run, node, position)
) STRICT;
"""
_OWNERS = """
CREATE TABLE owned (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    owner TEXT NOT NULL,
    priority INTEGER NOT NULL,
    number REAL NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    suspect INTEGER NOT NULL DEFAULT 0,
    worker TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    started_ms INTEGER,
    finished_ms INTEGER,
    error TEXT,
    idempotency_key TEXT,
    digest TEXT NOT NULL DEFAULT '',
    webhook TEXT NOT NULL DEFAULT '',
    UNIQUE (owner, idempotency_key)
) STRICT;
INSERT INTO owned SELECT seq, id, client, '', priority, number, state, attempts, deaths, suspect,
    worker, created_ms, started_ms, finished_ms, error, idempotency_key, digest, webhook FROM runs;
DELETE FROM sqlite_sequence WHERE name = 'owned';
INSERT INTO sqlite_sequence (name, seq)
    SELECT 'owned', seq FROM sqlite_sequence WHERE name = 'runs';
DROP TABLE runs;
ALTER TABLE owned RENAME TO runs;
CREATE INDEX runs_by_state ON runs (state, seq);
CREATE INDEX runs_by_owner ON runs (owner, seq);
"""
_DELIVERIES = """
CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    due_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX deliveries_by_time ON deliveries (due_ms);
"""
_PLACES = """
ALTER TABLE runs ADD COLUMN servers TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN why TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
"""
_MODELS = """
ALTER TABLE runs ADD COLUMN models TEXT NOT NULL DEFAULT '';
"""
FLEET = """
ALTER TABLE runs ADD COLUMN server TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN cancel INTEGER NOT NULL DEFAULT 0;
CREATE TABLE servers (
    name TEXT PRIMARY KEY,
    address TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT;
"""
TRACES = """
ALTER TABLE runs ADD COLUMN trace TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN queued_ms INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET queued_ms = created_ms;
"""
STEPS = (_FIRST, _OWNERS, _DELIVERIES, _PLACES, _MODELS, FLEET, TRACES)
"""The migrations: each makes a version from the one before; the first from an empty file.

Postgres has had the tables since version 5. Its migrations run the later steps, too, so these
have only statements that both databases know; see `server/store/postgres/migrations`.
"""
VERSION = len(STEPS)


def prepare(connection: Connection, path: Path) -> None:
    """Create the tables of a new database; check an old one and migrate it.

    Raises:
        DamagedStoreError: the file is not a database, or it is damaged.
        NewerStoreError: a later version wrote it.
    """
    try:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        configure(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise NewerStoreError(path, version, VERSION)
        _check(connection, path)
        # Foreign keys are off until then: dropping a table would delete what refers to it.
        connection.execute("PRAGMA foreign_keys = OFF")
        for number, step in enumerate(STEPS[version:], version + 1):
            connection.executescript(f"BEGIN; {step} PRAGMA user_version = {number}; COMMIT;")
        connection.execute("PRAGMA foreign_keys = ON")
    except DatabaseError as error:
        raise DamagedStoreError(path, str(error)) from error


def configure(connection: Connection) -> None:
    """Set the options that every connection needs."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _check(connection: Connection, path: Path) -> None:
    """Raise if pages or rows of the database are damaged."""
    found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise DamagedStoreError(path, "; ".join(found))
