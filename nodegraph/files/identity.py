"""A file's identity: its sha256, remembered until the file changes."""

import hashlib
import os
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from nodegraph.files.shards import shards_of

Stamp: TypeAlias = tuple[int, int, int, int]
"""The size, the inode, the mtime and the ctime of a file, these two in ns."""

_SETTLED_NS = 2_000_000_000
"""A file written more recently than this may change again without its mtime showing it."""
_TICK_NS = 50_000_000
"""The same for its ctime, which a system's clock gives and nobody can put back."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS files "
    "(path TEXT PRIMARY KEY, size INT, inode INT, mtime_ns INT, ctime_ns INT, sha256 TEXT)"
)
_WRITE = "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)"
_READ = "SELECT size, inode, mtime_ns, ctime_ns, sha256 FROM files WHERE path = ?"


class Identities:
    """Remembers the sha256 of files, in memory and in a small database.

    Many threads and processes may use it. If the database can not be used, hashes are kept in
    memory only.
    """

    def __init__(self, database: Path | None = None) -> None:
        self._database = database
        self._known: dict[str, tuple[Stamp, str]] = {}
        self._lock = threading.Lock()
        self._hashing: dict[str, threading.Lock] = {}

    def sha256(self, path: Path) -> str:
        """Return the file's sha256.

        For a directory, or one of several shards, it is the hash of all the files' names and
        hashes.
        """
        if path.is_dir():
            return self._of_many(path, path.rglob("*"))
        shards = shards_of(path)
        if len(shards) > 1:
            return self._of_many(path.parent, shards)
        return self._turn(path)

    def _turn(self, path: Path) -> str:
        """Hash one file; other threads that want the same file wait."""
        key = str(path.resolve())
        with self._lock:
            turn = self._hashing.setdefault(key, threading.Lock())
        with turn:
            return self._of_file(key)

    def known_sha256(self, path: Path) -> str:
        """Return the sha256 of a file when it was last hashed; empty if it has changed since.

        A change that its size and mtime do not show does not count: it may be damage.
        """
        key = str(path.resolve())
        remembered = self._known.get(key) or self._read(key)
        current = remembered and remembered[0][:3] == _stamp(Path(key).stat())[:3]
        return remembered[1] if remembered and current else ""

    def rehash(self, path: Path) -> str:
        """Hash the file anew, whatever is remembered, and return its sha256."""
        return self._hash(str(path.resolve()))

    def _of_file(self, key: str) -> str:
        stamp = _stamp(Path(key).stat())
        remembered = self._known.get(key) or self._read(key)
        if remembered and remembered[0] == stamp:
            self._known[key] = remembered
            return remembered[1]
        return self._hash(key)

    def _hash(self, key: str) -> str:
        with Path(key).open("rb") as file:
            status = os.fstat(file.fileno())
            settled = _is_settled(status)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        before = _stamp(status)
        if settled and _stamp(Path(key).stat()) == before:
            self._known[key] = (before, digest)
            self._write(key, before, digest)
        return digest

    def _of_many(self, root: Path, items: Iterable[Path]) -> str:
        digest = hashlib.sha256()
        for file in sorted(item for item in items if item.is_file()):
            name = file.relative_to(root).as_posix()
            digest.update(f"{self._turn(file)}  {name}\n".encode())
        return digest.hexdigest()

    def _read(self, key: str) -> tuple[Stamp, str] | None:
        if self._database is None or not self._database.exists():
            return None
        import sqlite3  # Only where a file must be hashed: a cold start is dear.

        try:
            with closing(sqlite3.connect(self._database)) as connection:
                row = connection.execute(_READ, (key,)).fetchone()
        except sqlite3.Error:
            return None
        return (row[:4], row[4]) if row else None

    def _write(self, key: str, stamp: Stamp, digest: str) -> None:
        if self._database is None:
            return
        import sqlite3

        try:
            self._database.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._database)) as connection, connection:
                connection.execute(_TABLE)
                connection.execute(_WRITE, (key, *stamp, digest))
        except (OSError, sqlite3.Error):
            self._database = None


def _stamp(status: os.stat_result) -> Stamp:
    """Return the stamp of a file; programs can put its mtime back, but not its ctime."""
    return status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def _is_settled(status: os.stat_result) -> bool:
    """Say if any further change of a file would show in its stamp."""
    now = time.time_ns()
    return now - status.st_mtime_ns > _SETTLED_NS and now - status.st_ctime_ns > _TICK_NS
