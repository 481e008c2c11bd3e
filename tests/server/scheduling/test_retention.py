"""History within its limits: what is too much or too old goes, with all that is known of it."""

import asyncio
from contextlib import suppress
from pathlib import Path

from server.scheduling.retention import retain
from server.store.changes import now_ms
from server.store.runs import Ending, NewRun, Work
from server.store.store import Store
from tests.server.postgres import ask, queue_in
from tests.server.serving import TOYS, install_toys, serving, toy, until

DAY = 24 * 60 * 60 * 1000


async def ended(store, names, size=0):
    for name in names:
        work = Work(prompt={"1": {"class_type": "X", "inputs": {"a": "x" * size}}}, targets=[])
        await store.accept(NewRun(id=name, work=work))
        await store.end(name, Ending("succeeded", "run_finished", {}))


async def retained(store, count, days=0.0):
    with suppress(TimeoutError):
        await asyncio.wait_for(retain(store, count, days, pause=0.01), 0.5)
    return [run.id for run in await store.runs()]


def test_only_the_newest_stay_and_the_file_shrinks(tmp_path):
    path = queue_in(tmp_path)
    store = Store(path)
    store.open()

    async def scenario():
        await ended(store, [f"r{n}" for n in range(100)], size=50_000)
        await store.accept(NewRun(id="waiting", work=Work(prompt={}, targets=[])))
        return await retained(store, 3)

    left = asyncio.run(scenario())
    store.close()

    assert left == ["waiting", "r99", "r98", "r97"]
    if isinstance(path, Path):
        assert path.stat().st_size < 1_000_000
    assert ask(path, "SELECT count(DISTINCT run) FROM events") == [(4,)]
    assert ask(path, "SELECT count(*) FROM graphs") == [(4,)]


def test_what_is_too_old_goes_though_there_is_room(tmp_path):
    path = queue_in(tmp_path)
    store = Store(path)
    store.open()

    async def scenario():
        await ended(store, ["old", "new"])
        long_ago = now_ms() - 3 * DAY
        ask(path, f"UPDATE runs SET finished_ms = {long_ago} WHERE id = 'old'")
        kept = await retained(store, 100, days=4)
        return kept, await retained(store, 100, days=2)

    assert asyncio.run(scenario()) == (["new", "old"], ["new"])
    store.close()


def test_history_comes_in_pages_and_a_server_cuts_it_to_its_limit(tmp_path):
    install_toys(tmp_path)
    with serving(tmp_path, environment=TOYS) as server:
        runs = [server.submit(toy(value=value)) for value in range(7)]
        for run in runs:
            server.finished(run)
        newest = server.get("/history?max_items=3").json
        older = server.get("/history?max_items=3&offset=3").json
    with serving(tmp_path, ["--history", "2"], environment=TOYS, ready=False) as server:
        left = until(lambda: few(server.get("/history").json))
        assert server.get(f"/v1/runs/{runs[0]}").status == 404

    assert list(newest) == runs[4:]
    assert list(older) == runs[1:4]
    assert list(left) == runs[5:]


def few(history):
    return history if len(history) <= 2 else None
