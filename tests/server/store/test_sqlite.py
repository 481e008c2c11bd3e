"""The file of SQLite: damage and later versions are refused, older ones are brought up to date."""

import asyncio
import sqlite3
from typing import Any

import pytest

from server.errors import DamagedStoreError, NewerStoreError, StorageFullError
from server.store.database import ENOUGH
from server.store.runs import Ending, NewRun, Work
from server.store.schema import STEPS
from server.store.sqlite_database import SqliteDatabase
from server.store.store import Store

WORK = Work(prompt={"1": {"class_type": "X", "inputs": {"a": [1, 2]}}}, targets=["1"])


def new(name, **options):
    return NewRun(id=name, work=WORK, **options)


def done(awaitable):
    return asyncio.run(awaitable)


async def accepted(store, *names, **options):
    return [(await store.accept(new(name, **options))).run for name in names]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "queue.sqlite"


@pytest.fixture
def store(path):
    store = Store(path)
    store.open()
    yield store
    store.close()


def test_enough_changes_are_committed_without_waiting_for_more(path, monkeypatch):
    monkeypatch.setattr("server.store.database.GATHERING", 3600)
    database = SqliteDatabase(path)
    changes = [f"change {number}" for number in range(ENOUGH)]
    waiting: Any = database._changes
    for change in changes:
        waiting.put(change)

    assert database._next_group(crowded=True) == changes
    database._reading.close()


@pytest.mark.parametrize("damage", ["head", "page", "no database"])
def test_a_damaged_database_is_refused(path, damage):
    store = Store(path)
    store.open()
    done(accepted(store, *(f"r{n}" for n in range(200))))
    store.close()
    data = bytearray(path.read_bytes())
    if damage == "head":
        data[:16] = b"\xff" * 16
    elif damage == "page":
        data[4096 * 2 : 4096 * 2 + 200] = b"\xff" * 200
    path.write_bytes(b"hello" * 1000 if damage == "no database" else data)

    with pytest.raises(DamagedStoreError) as caught:
        Store(path).open()
    assert str(path) in caught.value.message


def test_a_database_of_a_later_version_is_refused(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")

    with pytest.raises(NewerStoreError):
        Store(path).open()


def test_a_full_disk_refuses_and_the_next_change_is_taken(store):
    async def scenario():
        big = Work(prompt={"x": "y" * 200_000}, targets=[])
        await store._database.read(lambda _: None)
        store._database._writing.execute("PRAGMA max_page_count = 30")
        with pytest.raises(StorageFullError):
            await store.accept(NewRun(id="big", work=big))
        return (await store.accept(new("small"))).run.id, await store.count()

    assert done(scenario()) == ("small", 1)


def test_a_database_of_the_first_version_becomes_a_current_one(path):
    with sqlite3.connect(path) as db:
        db.executescript(f"{STEPS[0]} PRAGMA user_version = 1;")
        columns = "id, client, priority, number, state, created_ms, idempotency_key, digest"
        rows = [(f"r{n}", "me", 0, n, "queued", 5, f"k{n}", "x") for n in range(3)]
        db.executemany(f"INSERT INTO runs ({columns}) VALUES (?,?,?,?,?,?,?,?)", rows)
        db.executemany("INSERT INTO graphs VALUES (?, '{}', '[]', '{}', 0)", [[r[0]] for r in rows])
        db.execute("INSERT INTO events VALUES (1, 'r0', 1, 'run_queued', 5, '{}')")
        db.execute("INSERT INTO files VALUES ('r0', '9', 0, '/out/x', 1)")
        db.execute("DELETE FROM runs WHERE id = 'r2'")
    store = Store(path)
    store.open()

    async def scenario():
        again = await store.accept(new("other", idempotency_key="k0", digest="x"))
        events = await store.events("r0")
        (added,) = await accepted(store, "fresh")
        await store.end("r0", Ending("succeeded", "run_finished", {}))
        await store.forget()
        return again.run, events, added, await store.all_events("r0")

    try:
        again, events, added, after = done(scenario())
    finally:
        store.close()
    assert (again.id, again.owner, again.number) == ("r0", "", 0)
    assert (again.queued_ms, again.trace) == (again.created_ms, {}) == (5, {})
    assert len(events) == 1
    assert added.seq == 4, "numbers are used once, those of removed runs too"
    assert after == []
