"""The tables in Postgres, as SQLite had them at version 5."""

from server.store.postgres.tables import run_steps

revision = "5"
down_revision = None

_TABLES = """
CREATE TABLE runs (
    seq INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    client TEXT NOT NULL,
    owner TEXT NOT NULL,
    priority INTEGER NOT NULL,
    number DOUBLE PRECISION NOT NULL,
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
    servers TEXT NOT NULL DEFAULT '',
    why TEXT NOT NULL DEFAULT '',
    retries INTEGER NOT NULL DEFAULT 0,
    models TEXT NOT NULL DEFAULT '',
    UNIQUE (owner, idempotency_key)
);
CREATE INDEX runs_by_state ON runs (state, seq);
CREATE INDEX runs_by_owner ON runs (owner, seq);

CREATE TABLE graphs (
    run TEXT PRIMARY KEY REFERENCES runs (id) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    targets TEXT NOT NULL,
    extra TEXT NOT NULL,
    checksum INTEGER NOT NULL
);

CREATE TABLE events (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    name TEXT NOT NULL,
    time_ms INTEGER NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (run, sequence)
);

CREATE TABLE files (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    node TEXT NOT NULL,
    position INTEGER NOT NULL,
    path TEXT NOT NULL UNIQUE,
    number INTEGER NOT NULL,
    PRIMARY KEY (run, node, position)
);

CREATE TABLE deliveries (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    due_ms INTEGER NOT NULL
);
CREATE INDEX deliveries_by_time ON deliveries (due_ms);
"""


def upgrade() -> None:
    """Create the tables."""
    run_steps(_TABLES)
